import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from '../harness/free-port.ts'

const BIN = fileURLToPath(new URL('../../bin/sallyport.mjs', import.meta.url))
let folder: string
/** Somebody else's port. */
const other = createServer()
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-start-'))
  writeFileSync(join(folder, 'junk.pem'), 'junk')
  mkdirSync(join(folder, 'empty'))
  writeFileSync(join(folder, 'large.svg'), `<svg>${' '.repeat(65_536)}</svg>`)
  writeFileSync(join(folder, 'script.html'), '<!doctype html>\n<html lang="en">\n<p>{{text}}<script>x()</script>')
  writeFileSync(join(folder, 'latin.html'), Buffer.from('<!doctype html>\xe9', 'latin1'))
  await once(other.listen(0, '127.0.0.1'), 'listening')
})
afterAll(() => {
  other.close()
  rmSync(folder, { recursive: true, force: true })
})

/** `serve` until it has ended by itself; one that goes on is ended after 25 s and has no code. */
const serve = async (config: string): Promise<{ readonly code: number | null; readonly err: string }> => {
  const file = join(folder, 'sallyport.yaml')
  writeFileSync(file, config)
  const child = spawn(process.execPath, [BIN, 'serve', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'], env: { SECRET: 's' } })
  let err = ''
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')))
  const late = setTimeout(() => child.kill('SIGKILL'), 25_000)
  const [code] = (await once(child, 'close')) as [number | null]
  clearTimeout(late)
  return { code, err }
}

interface Parts {
  readonly public?: string
  readonly admin?: string
  readonly tls?: string
  readonly provider?: string
  readonly rest?: string
}
const config = async (parts: Parts): Promise<string> => `
public_url: http://localhost:8080
listen: { public: '${parts.public ?? '127.0.0.1:0'}', ops: '127.0.0.1:${await freePort()}', admin: ${parts.admin ?? "'off'"}${parts.tls ?? ''} }
provider:
  issuer: https://id.invalid
  client_id: shop
  client_auth: [{ client_secret: "\${env:SECRET}" }]
${parts.provider ?? ''}
${parts.rest ?? ''}
`

it.each<[string, () => Parts, number, string]>([
  ['a port in use', () => ({ public: `127.0.0.1:${(other.address() as AddressInfo).port}` }), 3, 'EADDRINUSE'],
  ['no folder for the admin socket', () => ({ admin: `unix:${folder}/no/admin.sock` }), 3, 'listen.admin'],
  ['a file in place of the admin socket', () => ({ admin: `unix:${folder}/junk.pem` }), 1, 'listen.admin'],
  ['an audit file that cannot be', () => ({ rest: `telemetry: { audit: { file: ${folder}/no/audit } }` }), 1, 'telemetry.audit.file'],
  ['a frontend that is not there', () => ({ rest: `frontend: { dir: ${folder}/www }` }), 1, 'frontend.dir'],
  ['a frontend without index.html', () => ({ rest: `frontend: { dir: ${folder}/empty }` }), 1, 'frontend.dir has no index.html'],
  ['no logo', () => ({ rest: 'pages: { logo_file: no.svg }' }), 1, 'pages.logo_file is not a file'],
  ['a logo that is none', () => ({ rest: 'pages: { logo_file: junk.pem }' }), 1, 'neither SVG nor PNG'],
  ['a logo that is too large', () => ({ rest: 'pages: { logo_file: large.svg }' }), 1, 'larger than 64 KiB'],
  [
    'a template with a script',
    () => ({ rest: 'pages: { template_file: script.html }' }),
    1,
    'script.html:3:12: the template has a script. Remove it',
  ],
  ['a template that is no text', () => ({ rest: 'pages: { template_file: latin.html }' }), 1, 'not UTF-8'],
  ['a TLS pair that is none', () => ({ tls: `, tls: { certificate_file: junk.pem, private_key_file: junk.pem }` }), 1, 'listen.tls'],
  ['no CA file', () => ({ provider: '  ca_file: no.pem' }), 1, 'no.pem'],
  [
    'no CA file, when the store is already being called',
    () => ({ provider: '  ca_file: no.pem', rest: 'session: { keys_dir: keys, store: { redis: { url: redis://127.0.0.1:1 } } }' }),
    1,
    'no.pem',
  ],
])('with %s the gateway ends at once and says which setting it is about', async (_name, parts, code, said) => {
  mkdirSync(join(folder, 'keys'), { recursive: true })
  for (const name of ['index', '20261101T000000Z-000001'])
    writeFileSync(join(folder, 'keys', `${name}.key`), Buffer.alloc(32, name).toString('base64url'), { mode: 0o600 })
  const ended = await serve(await config(parts()))
  expect(ended).toMatchObject({ code, err: expect.stringContaining(said) })
  expect(ended.err).not.toContain('    at ')
})

// npm starts a shell, the shell starts node: a shell that stays in between dies of the signal and leaves the gateway running.
it('a signal to `npm run serve` stops the gateway', async () => {
  const file = join(folder, 'npm.yaml')
  const ops = await freePort()
  writeFileSync(
    file,
    (await config({ rest: 'shutdown: { delay: 0s, grace: 1s }' })).replace(/ops: '127.0.0.1:\d+'/, `ops: '127.0.0.1:${ops}'`),
  )
  const { PATH, HOME } = process.env
  const npm = spawn('npm', ['run', 'serve', '--', '--config', file], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: 'ignore',
    env: { PATH, HOME, SECRET: 's' },
  })
  const isAlive = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${ops}/livez`).then(
      (answer) => answer.ok,
      () => false,
    )
  await expect.poll(isAlive, { timeout: 20_000 }).toBe(true)
  npm.kill('SIGTERM')
  await expect.poll(isAlive, { timeout: 20_000 }).toBe(false)
}, 60_000)
