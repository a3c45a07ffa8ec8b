import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface DemoProcess {
  readonly url: string
  output(): string
  /** As Ctrl+C does; resolves with the exit code. */
  stop(): Promise<number | null>
}

/** `npm run demo` without npm around it: one process, one printed URL. @param args of the command, beside the port */
export const startDemoProcess = async (args: readonly string[] = []): Promise<DemoProcess> => {
  const bin = fileURLToPath(new URL('../../bin/sallyport.mjs', import.meta.url))
  const child = spawn(process.execPath, [bin, 'demo', '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let written = ''
  const url = await new Promise<string>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the demo printed no URL in 40 s:\n${written}`)), 40_000)
    child.once('exit', (code) => reject(new Error(`the demo ended with ${code}:\n${written}`)))
    const onData = (chunk: Buffer): void => {
      written += chunk.toString('utf8')
      const found = /http:\/\/localhost:\d+/.exec(written)
      if (!found) return
      clearTimeout(late)
      resolve(found[0])
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
  })
  return {
    url,
    output: () => written,
    stop: async () => {
      if (child.exitCode !== null) return child.exitCode
      const gone = once(child, 'exit')
      child.kill('SIGINT')
      await gone
      return child.exitCode
    },
  }
}
