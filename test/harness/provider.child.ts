import { type DevProvider, type DevProviderOptions, startDevProvider } from '../../src/dev/provider.ts'

/** The embedded provider as a process of its own, counting what the token endpoint answered. Talks over IPC; ends with its parent. */
const counts = new Map<string, number>()
const options = JSON.parse(process.argv[2] ?? '{}') as DevProviderOptions
const begin = (port: number): Promise<DevProvider> =>
  startDevProvider({
    ...options,
    port,
    onTokenRequest: (grantType, ok) => {
      const key = `${grantType}:${ok ? 'ok' : 'refused'}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    },
  })
let provider = await begin(options.port)
const { issuer } = provider

const commands: Readonly<Record<string, () => Promise<unknown> | undefined>> = {
  counts: () => undefined,
  away: () => provider.stop(),
  // The library's memory adapter is one per process: grants and refresh tokens outlive the listener, as with a provider that has a database.
  back: async () => (provider = await begin(Number(new URL(issuer).port))),
}
process.on('message', ({ id, command }: { id: number; command: string }) => {
  void Promise.resolve(commands[command]?.()).then(() => process.send?.({ id, counts: Object.fromEntries(counts) }))
})
process.once('disconnect', () => void provider.stop().then(() => process.exit(0)))
process.send?.({ issuer })
