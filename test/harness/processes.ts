import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DevProviderOptions } from '../../src/dev/provider.ts'
import type { AuditEvent } from '../../src/domain/audit-event.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export interface ProviderProcess {
  readonly issuer: string
  readonly port: number
  /** `refresh_token:ok` → how often. */
  counts(): Promise<Readonly<Record<string, number>>>
  /** Refuses connections until `back`: what it would have been asked meanwhile never left the gateway. */
  away(): Promise<void>
  back(): Promise<void>
  /** SIGSTOP: takes connections and answers nothing; after `thaw` it answers whatever it was sent, whether anybody still listens or not. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

interface Told {
  readonly id?: number
  readonly port?: number
  readonly issuer?: string
  readonly counts?: Readonly<Record<string, number>>
}

export const startProviderProcess = async (options: Omit<DevProviderOptions, 'onTokenRequest'>): Promise<ProviderProcess> => {
  const child = fork(here('./provider.child.ts'), [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [{ issuer = '', port = 0 }] = (await once(child, 'message')) as [Told]
  let asked = 0
  const ask = (command: string): Promise<Told> =>
    new Promise((resolve) => {
      const id = (asked += 1)
      const listen = (told: Told): void => {
        if (told.id !== id) return
        child.off('message', listen)
        resolve(told)
      }
      child.on('message', listen)
      child.send({ id, command })
    })
  return {
    issuer,
    port,
    counts: async () => (await ask('counts')).counts ?? {},
    away: async () => void (await ask('away')),
    back: async () => void (await ask('back')),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: () =>
      end(child, () => {
        child.kill('SIGCONT')
        child.disconnect()
      }),
  }
}

export interface GatewayProcess {
  readonly port: number
  readonly ops: string
  readonly pid: number
  /** Everything it wrote so far: log, audit, errors. */
  output(): string
  signal(name: NodeJS.Signals): void
  /** Exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  stop(): Promise<void>
}

/** `sallyport serve` as operations start it; resolves when `/readyz` says so, or when all listeners are open. */
export const startGatewayProcess = async (options: {
  readonly config: string
  readonly publicPort: number
  readonly opsPort: number
  readonly env?: Readonly<Record<string, string>>
  /** Another entry than bin/sallyport.mjs, for tests of the tests. */
  readonly entry?: string
  readonly until?: 'ready' | 'alive'
}): Promise<GatewayProcess> => {
  const child = spawn(process.execPath, [options.entry ?? here('../../bin/sallyport.mjs'), 'serve', '--config', options.config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...options.env },
  })
  let written = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (written += chunk.toString('utf8')))
  const exited = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const ops = `http://127.0.0.1:${options.opsPort}`
  for (const until = Date.now() + 40_000; ; await wait(50)) {
    if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}:\n${written}`)
    if (Date.now() > until) throw new Error(`the gateway was not ready in 40 s:\n${written}`)
    const answer = await fetch(`${ops}/readyz`).catch(() => undefined)
    // Somebody else may have got the port meanwhile: what answers then is not ours, and the gateway ends and says so.
    const { waiting = ['listener'] } = ((await answer?.json().catch(() => undefined)) ?? {}) as { readonly waiting?: readonly string[] }
    if (waiting.length === 0 || (options.until === 'alive' && !waiting.includes('listener'))) break
  }
  return {
    port: options.publicPort,
    ops,
    pid: child.pid ?? 0,
    output: () => written,
    signal: (name) => void child.kill(name),
    exited,
    stop: () => end(child, () => child.kill('SIGTERM')),
  }
}

/** The audit stream in what a gateway wrote so far; lines come a moment after the answer. */
export const auditOf = (gateway: GatewayProcess | undefined): AuditLine[] =>
  (gateway?.output() ?? '')
    .split('\n')
    .filter((line) => line.startsWith('{"schema":"sallyport.audit/') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as AuditLine)
export interface AuditLine {
  readonly event: AuditEvent['event']
  readonly [field: string]: unknown
}
/** Waits until the audit stream holds an event with these fields. */
export const audited = (gateway: GatewayProcess | undefined, fields: Readonly<Record<string, unknown>>): Promise<void> =>
  until(`an audit event ${JSON.stringify(fields)}`, () =>
    auditOf(gateway).some((line) => Object.entries(fields).every(([name, value]) => line[name] === value)),
  )

/** Asks, waits, and after 10 s stops asking. Only ever ends the child it was given. */
const end = async (child: ChildProcess, ask: () => unknown): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  ask()
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(late)
}

/** Asks again until it is so. */
export const until = async (what: string, condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> => {
  for (const end = Date.now() + withinMs; !(await condition()); await wait(20))
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`)
}
