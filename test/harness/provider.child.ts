import { type DevProviderOptions, startDevProvider } from '../../src/dev/provider.ts'

/** The embedded provider as a process of its own, counting what the token endpoint answered. Talks over IPC; ends with its parent. */
const counts = new Map<string, number>()
const options = JSON.parse(process.argv[2] ?? '{}') as DevProviderOptions
const provider = await startDevProvider({
  ...options,
  onTokenRequest: (grantType, ok) => {
    const key = `${grantType}:${ok ? 'ok' : 'refused'}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  },
})
process.on('message', (message) => {
  if (message === 'counts') process.send?.({ counts: Object.fromEntries(counts) })
})
process.once('disconnect', () => void provider.stop().then(() => process.exit(0)))
process.send?.({ issuer: provider.issuer })
