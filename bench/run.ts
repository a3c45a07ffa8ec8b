import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { startDevProvider } from '../src/dev/provider.ts'
import { Browser } from '../test/harness/browser.ts'
import { freePort } from '../test/harness/free-port.ts'
import { signIn } from '../test/harness/world.ts'

/**
 * One question: what does a request through Sallyport, as operations run it (access log, metrics, audit on; session in memory), cost in CPU of the
 * gateway process, against a bare fastify + undici dispatch on the same machine in the same minutes? Rounds are interleaved; the answer is the median of the
 * per-round ratios. Single figures move with the machine; the ratio is what counts.
 */
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 7)
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4)
const CONNECTIONS = 64
const AUDIENCE = 'https://bench.example/'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const run = promisify(execFile)
const pinned = existsSync('/usr/bin/taskset')

const pin = async (child: ChildProcess, core: number): Promise<void> => {
  if (pinned) await run('taskset', ['-a', '-p', '-c', String(core), String(child.pid)])
}

const child = async (file: string, args: readonly string[], core: number): Promise<{ process: ChildProcess; port: number }> => {
  const started = fork(here(file), [...args], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [{ port }] = (await once(started, 'message')) as [{ port: number }]
  await pin(started, core)
  return { process: started, port }
}

/** CPU time of all threads of a process so far, in microseconds (Linux: schedstat is in nanoseconds, stat in ticks of 10 ms). */
const cpuMicros = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

interface Sample {
  readonly microsPerRequest: number
  readonly requestsPerSecond: number
}

const load = async (url: string, headers: readonly string[], secondsLong: number): Promise<{ total: number; rate: number }> => {
  const args = [
    fileURLToPath(import.meta.resolve('autocannon')),
    '-j',
    '-c',
    String(CONNECTIONS),
    '-d',
    String(secondsLong),
    ...headers.flatMap((h) => ['-H', h]),
    url,
  ]
  const generator = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  await pin(generator, 1)
  let text = ''
  generator.stdout.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')))
  await once(generator, 'close')
  const result = JSON.parse(text) as { '2xx': number; non2xx: number; errors: number; requests: { total: number; average: number } }
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx} answers were not 2xx, ${result.errors} errors`)
  return { total: result['2xx'], rate: result.requests.average }
}

const sample = async (pid: number, url: string, headers: readonly string[]): Promise<Sample> => {
  const before = cpuMicros(pid)
  const { total, rate } = await load(url, headers, SECONDS)
  return { microsPerRequest: (cpuMicros(pid) - before) / total, requestsPerSecond: rate }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
const clientSecret = randomBytes(32).toString('base64url')
const [publicPort, opsPort] = [await freePort(), await freePort()]
const origin = `http://localhost:${publicPort}`
const upstream = await child('./upstream.child.ts', [], 1)
const bare = await child('./bare.child.ts', [`http://127.0.0.1:${upstream.port}`], 0)
const provider = await startDevProvider({
  port: 0,
  clientId: 'bench',
  clientSecret,
  redirectUri: `${origin}/bff/callback`,
  postLogoutRedirectUri: `${origin}/bff/logout/callback`,
  resources: { [AUDIENCE]: ['read'] },
  accessTokenSeconds: 3600,
})
const config = join(folder, 'bench.yaml')
writeFileSync(
  config,
  `public_url: ${origin}
listen: { public: '127.0.0.1:${publicPort}', ops: '127.0.0.1:${opsPort}', admin: 'unix:${join(folder, 'admin.sock')}' }
provider: { profile: generic, issuer: '${provider.issuer}', insecure_allow_http: true, client_id: bench, client_auth: [{ client_secret: '\${env:SECRET}' }] }
session: { store: memory }
routes:
  - { path: /api, upstream: 'http://127.0.0.1:${upstream.port}', token: { principal: user, audience: '${AUDIENCE}', scopes: [read] } }
`,
)
const log = openSync(join(folder, 'gateway.log'), 'w')
const gateway = spawn(process.execPath, [here('../bin/sallyport.mjs'), 'serve', '--config', config], {
  stdio: ['ignore', log, log],
  env: { ...process.env, SECRET: clientSecret },
})
let failed = false
try {
  for (let tries = 0; tries < 200; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${opsPort}/readyz`).catch(() => undefined)
    if (answer?.ok) break
    await wait(50)
  }
  await pin(gateway, 0)
  const browser = new Browser()
  await signIn(browser, origin, 'ada')
  const [name, value] = [...browser.cookies('localhost')].find(([n]) => n.startsWith('__Host-Http-sallyport')) ?? []
  if (!value) throw new Error('the sign-in failed')
  const headers = [
    `host: localhost:${publicPort}`,
    `cookie: ${name}=${value}`,
    'x-csrf: 1',
    'sec-fetch-site: same-origin',
    'accept: application/json',
  ]
  const targets = {
    bare: { pid: bare.process.pid ?? 0, url: `http://127.0.0.1:${bare.port}/api/rows`, headers },
    sallyport: { pid: gateway.pid ?? 0, url: `http://127.0.0.1:${publicPort}/api/rows`, headers },
  }
  for (const target of Object.values(targets)) await load(target.url, target.headers, 3)
  const rounds: { bare: Sample; sallyport: Sample }[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    // The order changes every round, so that a drift of the machine falls on both.
    const first = round % 2 === 0 ? ('bare' as const) : ('sallyport' as const)
    const second = first === 'bare' ? ('sallyport' as const) : ('bare' as const)
    const samples = { [first]: await sample(targets[first].pid, targets[first].url, targets[first].headers) } as Record<
      'bare' | 'sallyport',
      Sample
    >
    samples[second] = await sample(targets[second].pid, targets[second].url, targets[second].headers)
    rounds.push(samples)
    print(
      `round ${round + 1}: bare ${show(samples.bare)}   sallyport ${show(samples.sallyport)}   ratio ${(samples.sallyport.microsPerRequest / samples.bare.microsPerRequest).toFixed(2)}`,
    )
  }
  const ratios = rounds.map((r) => r.sallyport.microsPerRequest / r.bare.microsPerRequest)
  print(
    `\nCPU per request, ${CONNECTIONS} connections, 1 KiB GET, ${pinned ? 'gateway pinned to one core' : 'not pinned'}, Node ${process.versions.node}`,
  )
  print(`  bare fastify + undici dispatch   ${median(rounds.map((r) => r.bare.microsPerRequest)).toFixed(1)} µs`)
  print(`  sallyport, everything on         ${median(rounds.map((r) => r.sallyport.microsPerRequest)).toFixed(1)} µs`)
  print(
    `  ratio, median of ${rounds.length} rounds         ${median(ratios).toFixed(2)}   (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
  )
} catch (error) {
  failed = true
  print(`the benchmark failed: ${error instanceof Error ? error.message : 'unknown'}`)
} finally {
  gateway.kill('SIGTERM')
  bare.process.disconnect()
  upstream.process.disconnect()
  await provider.stop()
  if (gateway.exitCode === null) await once(gateway, 'exit')
  rmSync(folder, { recursive: true, force: true })
}
process.exit(failed ? 1 : 0)

function show(s: Sample): string {
  return `${s.microsPerRequest.toFixed(1)} µs (${Math.round(s.requestsPerSecond)}/s)`
}
function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
