import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { type DevProviderOptions, startDevProvider } from '../../src/dev/provider.ts'

/** The embedded provider as a process of its own, counting what the token endpoint answered. Talks over IPC; ends with its parent. */
const counts = new Map<string, number>()
// Its listener, known from the first request on: all it has granted lives in its memory, so it must go on living while nobody can reach it.
let server: Server | undefined
subscribe('http.server.request.start', (message) => {
  server = (message as { readonly server: Server }).server
})
const provider = await startDevProvider({
  ...(JSON.parse(process.argv[2] ?? '{}') as DevProviderOptions),
  onTokenRequest: (grantType, ok) => {
    const key = `${grantType}:${ok ? 'ok' : 'refused'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  },
})

const commands: Readonly<Record<string, () => Promise<unknown> | undefined>> = {
  counts: () => undefined,
  away: () => {
    if (!server?.listening) return undefined
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    return closed
  },
  back: () => {
    if (!server || server.listening) return undefined
    server.listen(Number(new URL(provider.issuer).port), '127.0.0.1')
    return once(server, 'listening')
  },
}
process.on('message', ({ id, command }: { id: number; command: string }) => {
  void Promise.resolve(commands[command]?.()).then(() => process.send?.({ id, counts: Object.fromEntries(counts) }))
})
process.once('disconnect', () => void provider.stop().then(() => process.exit(0)))
process.send?.({ issuer: provider.issuer })
