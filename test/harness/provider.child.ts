import { type DevProviderOptions, startDevProvider } from '../../src/dev/provider.ts'

/** The embedded provider as a process of its own, counting what the token endpoint answered. Talks over IPC; ends with its parent. */
const counts = new Map<string, number>()
const provider = await startDevProvider({
  ...(JSON.parse(process.argv[2] ?? '{}') as DevProviderOptions),
  onTokenRequest: (grantType, ok) => {
    const key = `${grantType}:${ok ? 'ok' : 'refused'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  },
})

const commands: Readonly<Record<string, () => Promise<void> | undefined>> = {
  counts: () => undefined,
  away: provider.away,
  back: provider.back,
}
process.on('message', ({ id, command }: { id: number; command: string }) => {
  void Promise.resolve(commands[command]?.()).then(() => process.send?.({ id, counts: Object.fromEntries(counts) }))
})
process.once('disconnect', () => void provider.stop().then(() => process.exit(0)))
process.send?.({ issuer: provider.issuer, port: provider.port })
