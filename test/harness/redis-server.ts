import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Program } from './debs.ts'
import { freePort } from './free-port.ts'

/** A Redis of one test: it may be frozen, killed and restarted with its data. */
export interface RedisServer {
  readonly url: string
  readonly port: number
  readonly dir: string
  /** Of the process that runs now; another one after `restart`. */
  readonly pid: number
  /** SIGSTOP: connections stay open, nothing answers. */
  freeze(): void
  thaw(): void
  /** SIGKILL. What was acknowledged is in the append-only file. */
  kill(): Promise<void>
  /** Kills it if it still runs, and starts it on the same port with the same data. */
  restart(): Promise<void>
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

export interface RedisRequest {
  readonly port?: number
  /** Kept at `stop` when given. */
  readonly dir?: string
  /** More settings, for instance `['--requirepass', 'x']`. */
  readonly args?: readonly string[]
  /** Speaks TLS only, on the same port, and asks for a certificate. */
  readonly tls?: TlsFiles
}

/** One pair may be good for server and client. */
export interface TlsFiles {
  readonly caFile: string
  readonly certificateFile: string
  readonly privateKeyFile: string
}
/** Settings of a server, a Cluster node or a sentinel that speaks TLS only, among themselves as well. */
export const tlsSettings = (port: number, files: TlsFiles): readonly (readonly [string, string])[] => [
  ['port', '0'],
  ['tls-port', String(port)],
  ['tls-replication', 'yes'],
  ['tls-auth-clients', 'yes'],
  ['tls-ca-cert-file', files.caFile],
  ['tls-cert-file', files.certificateFile],
  ['tls-key-file', files.privateKeyFile],
]

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
/** Does not outlive this process, however it ends. */
export const mortal = (child: ChildProcess): ChildProcess => {
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

const started = async ({ bin, env }: Program, args: readonly string[]): Promise<ChildProcess> => {
  const child = mortal(spawn(bin, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } }))
  let said = ''
  const ready = new Promise<void>((resolve, reject) => {
    const listen = (chunk: Buffer): void => {
      said = (said + chunk.toString()).slice(-4_000)
      if (said.includes('Ready to accept connections')) resolve()
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`Redis ended with ${code ?? signal} before it was ready:\n${said}`)))
  })
  await ready
  return child
}

const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill(signal)
  await exit
}

/** Starts a Redis on loopback and waits until it answers. Every write is handed to the kernel before it is acknowledged, so a kill loses nothing. */
export const startRedisServer = async (program: Program, request: RedisRequest = {}): Promise<RedisServer> => {
  const port = request.port ?? (await freePort())
  const dir = request.dir ?? mkdtempSync(join(tmpdir(), 'sallyport-redis-'))
  const listens = request.tls ? tlsSettings(port, request.tls).flatMap(([name, value]) => [`--${name}`, value]) : ['--port', String(port)]
  const place = [...listens, '--bind', '127.0.0.1', '--dir', dir, '--daemonize', 'no']
  const args = [...place, '--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec', ...(request.args ?? [])]
  let child = await started(program, args)
  return {
    url: `${request.tls ? 'rediss' : 'redis'}://127.0.0.1:${port}`,
    port,
    dir,
    get pid() {
      return child.pid ?? 0
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill: () => ended(child, 'SIGKILL'),
    restart: async () => {
      await ended(child, 'SIGKILL')
      child = await started(program, args)
    },
    // SIGKILL also ends a frozen process, and there is nothing left worth an orderly end.
    stop: async () => {
      await ended(child, 'SIGKILL')
      if (request.dir === undefined) rmSync(dir, { recursive: true, force: true })
    },
  }
}
