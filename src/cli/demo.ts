import { EXIT, UsageError, type Command } from './command.ts'

const PORT = 8080
/** Short, so that refreshes can be watched. */
const ACCESS_TOKEN_SECONDS = 20

/** The demo's rooms are left out of the image, so they are reached by `import()` only. */
export const demo: Command = {
  name: 'demo',
  summary: 'run the gateway with an embedded provider, three APIs and a frontend',
  usage: 'demo [--port PORT] [--token-seconds N]',
  options: ['port', 'token-seconds'],
  run: async (options, shell) => {
    const { startDemo } = await import('../dev/demo.ts').catch((error: unknown) => {
      const isAbsent = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
      throw isAbsent ? new UsageError('the demo is not part of this installation: run it from a checkout') : error
    })
    const running = await startDemo({ port: options.port ?? PORT, accessTokenSeconds: options.tokenSeconds ?? ACCESS_TOKEN_SECONDS })
    shell.out(`\n  ${running.url}\n\n  Sign in as ada or grace. Ctrl+C ends it.\n\n`)
    await running.stopped
    await running.stop() // a signal has stopped the gateway; the provider and the APIs are ours to stop
    return EXIT.ok
  },
}
