import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DevProviderOptions } from '../../src/dev/provider.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

export interface ProviderProcess {
  readonly issuer: string
  /** `refresh_token:ok` → how often. */
  counts(): Promise<Readonly<Record<string, number>>>
  stop(): Promise<void>
}

export const startProviderProcess = async (options: Omit<DevProviderOptions, 'onTokenRequest'>): Promise<ProviderProcess> => {
  const child = fork(here('./provider.child.ts'), [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [{ issuer }] = (await once(child, 'message')) as [{ issuer: string }]
  return {
    issuer,
    counts: async () => {
      const answer = once(child, 'message')
      child.send('counts')
      return ((await answer) as [{ counts: Record<string, number> }])[0].counts
    },
    stop: () => end(child, () => child.disconnect()),
  }
}

export interface GatewayProcess {
  readonly port: number
  readonly ops: string
  readonly pid: number
  /** Everything it wrote so far: log, audit, errors. */
  output(): string
  signal(name: NodeJS.Signals): void
  stop(): Promise<void>
}

/** `sallyport serve` as operations start it; resolves when `/readyz` says so. */
export const startGatewayProcess = async (options: {
  readonly config: string
  readonly publicPort: number
  readonly opsPort: number
  readonly env?: Readonly<Record<string, string>>
  /** Another entry than bin/sallyport.mjs, for tests of the tests. */
  readonly entry?: string
}): Promise<GatewayProcess> => {
  const child = spawn(process.execPath, [options.entry ?? here('../../bin/sallyport.mjs'), 'serve', '--config', options.config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...options.env },
  })
  let written = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (written += chunk.toString('utf8')))
  const ops = `http://127.0.0.1:${options.opsPort}`
  for (const until = Date.now() + 20_000; ; await wait(50)) {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}:\n${written}`)
    if (Date.now() > until) throw new Error(`the gateway was not ready in 20 s:\n${written}`)
    const answer = await fetch(`${ops}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.status === 200) break
  }
  return {
    port: options.publicPort,
    ops,
    pid: child.pid ?? 0,
    output: () => written,
    signal: (name) => void child.kill(name),
    stop: () => end(child, () => child.kill('SIGTERM')),
  }
}

/** Asks, waits, and after 10 s stops asking. Only ever ends the child it was given. */
const end = async (child: ChildProcess, ask: () => unknown): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  ask()
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(late)
}
