import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openKeyFiles, serviceAccountKey } from '../../../src/credentials/key-files.ts'
import { createFileWatch } from '../../../src/kernel/file-watch.ts'
import type { FileWatch } from '../../../src/kernel/file-watch.ts'
import type { Log } from '../../../src/kernel/ports.ts'
import { manualClock } from '../../harness/clock.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const recording = (): { readonly log: Log; readonly lines: string[]; readonly watch: FileWatch } => {
  const lines: string[] = []
  const line = (facts: object, message: string): void => void lines.push(`${message} ${JSON.stringify(facts)}`)
  const log: Log = { debug: line, info: line, warn: line, error: line }
  return { log, lines, watch: createFileWatch({ clock: manualClock(), log }) }
}
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' })
const account = (change: Record<string, unknown> = {}): string =>
  JSON.stringify({
    type: 'service_account',
    client_email: 'sa@project.example',
    private_key_id: 'key-1',
    private_key: rsa,
    token_uri: 'https://oauth2.googleapis.com/token',
    ...change,
  })

it('an API key that changes is used from the next reading on, and one that is emptied stays', async () => {
  const file = join(folder, 'key')
  writeFileSync(file, ' canary-one\n')
  const { log, lines, watch } = recording()
  const keys = await openKeyFiles({ apiKeys: [file], serviceAccounts: [], watch, log })
  const first = keys.apiKey(file)
  expect(first?.reveal()).toBe('canary-one')
  await watch.lookAtAll()
  expect(keys.apiKey(file)).toBe(first) // what was made of it is known by it
  writeFileSync(file, 'canary-two')
  await watch.lookAtAll()
  expect(keys.apiKey(file)?.reveal()).toBe('canary-two')
  writeFileSync(file, '')
  await watch.lookAtAll()
  expect(keys.apiKey(file)?.reveal()).toBe('canary-two')
  expect(lines.filter((line) => line.includes('stays in use'))).toHaveLength(1)
  expect(lines.join('\n')).not.toContain('canary')
})

it.each([
  ['two lines', 'one\ntwo'],
  ['a control character', 'a\u0007b'],
  ['what no header carries', 'schlüssel'],
  ['far too much', 'x'.repeat(5000)],
  ['nothing', '  \n'],
])('%s is no API key', async (_because, text) => {
  const file = join(folder, 'bad')
  writeFileSync(file, text)
  const keys = await openKeyFiles({
    apiKeys: [file, join(folder, 'absent')],
    serviceAccounts: [],
    ...recording(),
  })
  expect(keys.apiKey(file)).toBeUndefined()
  expect(keys.apiKey(join(folder, 'absent'))).toBeUndefined()
})

it('a service account’s key is read from the file that was issued, and a half-written one does not take it away', async () => {
  const file = join(folder, 'sa.json')
  writeFileSync(file, account())
  const { log, lines, watch } = recording()
  const keys = await openKeyFiles({ apiKeys: [], serviceAccounts: [file], watch, log })
  expect(keys.serviceAccount(file)).toMatchObject({ email: 'sa@project.example', keyId: 'key-1' })
  writeFileSync(file, account().slice(0, 300))
  await watch.lookAtAll()
  expect(keys.serviceAccount(file)?.keyId).toBe('key-1')
  writeFileSync(file, account({ private_key_id: 'key-2' }))
  await watch.lookAtAll()
  expect(keys.serviceAccount(file)?.keyId).toBe('key-2')
  expect(lines.join('\n')).not.toContain('PRIVATE KEY')
})

// The start waits for the first reading: on a pipe that nobody writes to it waited for ever.
it('a pipe in the place of a key holds nothing up', async () => {
  const file = join(folder, 'pipe')
  spawnSync('mkfifo', [file])
  const { log, lines, watch } = recording()
  const keys = await openKeyFiles({ apiKeys: [file], serviceAccounts: [file], watch, log })
  expect([keys.apiKey(file), keys.serviceAccount(file)]).toEqual([undefined, undefined])
  expect(lines).toHaveLength(1)
})

it('a key file that was mended and breaks again is told of again', async () => {
  const file = join(folder, 'sa-twice.json')
  const { log, lines, watch } = recording()
  const warnings = () => lines.filter((line) => line.includes('malformed')).length
  writeFileSync(file, account())
  await openKeyFiles({ apiKeys: [], serviceAccounts: [file], watch, log })
  for (const text of ['', account(), '']) {
    writeFileSync(file, text)
    await watch.lookAtAll()
  }
  expect(warnings()).toBe(2)
})

it.each([
  ['another kind of file', account({ type: 'authorized_user' })],
  ['a key that cannot sign RS256', account({ private_key: ec })],
  ['a key that is none', account({ private_key: 'x' })],
  ['a key too short to sign with (RFC 7518 §3.3)', account({ private_key: short })],
  ['no address', account({ client_email: '' })],
  ['no key id', account({ private_key_id: undefined })],
  ['an endpoint without TLS', account({ token_uri: 'http://oauth2.example/token' })],
  ['no endpoint', account({ token_uri: undefined })],
  ['a list', '[]'],
  ['no JSON', 'x'],
])('%s is no service account’s key', (_because, text) => {
  expect(serviceAccountKey(text)).toBeUndefined()
})
