import { EXIT, type Command } from './command.ts'

/** Left out of the image: reached by `import()` only. */
export const demo: Command = {
  name: 'demo',
  summary: 'run the gateway with an embedded provider, two APIs and a frontend',
  usage: 'demo',
  options: [],
  run: async () => {
    const { runDemo } = await import('../dev/demo.ts')
    await runDemo()
    return EXIT.ok
  },
}
