import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openCaFile, openTlsPair } from '../../../src/kernel/tls-files.ts'
import { instant } from '../../../src/kernel/time.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-files-'))
afterAll(() => rmSync(dir, { recursive: true }))
const [one, two] = [selfSigned({ kind: 'ec', subject: 'CANARY-one' }), selfSigned({ kind: 'ec', subject: 'CANARY-two' })]
const encrypted = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'x',
})

const BUNDLES: readonly (readonly [string, string, boolean])[] = [
  ['one certificate', one.certificate, true],
  ['two, with words between and behind', `# ours\n${one.certificate}\n--- the next\n${two.certificate}# end\n`, true],
  ['Windows line ends', one.certificate.replaceAll('\n', '\r\n'), true],
  ['a key beside it', `${one.certificate}${one.key}`, true],
  ['nothing', '', false],
  ['blanks', ' \n', false],
  ['no PEM', 'CANARY', false],
  ['a key alone', one.key, false],
  ['a certificate request’s name', one.certificate.replaceAll('CERTIFICATE', 'CERTIFICATE REQUEST'), false],
  ['the second cut short', `${one.certificate}${two.certificate.slice(0, 200)}`, false],
  ['the second’s first line cut short', `${one.certificate}${two.certificate.slice(0, 8)}`, false],
  ['the end of the second cut short', `${one.certificate}${two.certificate.slice(0, -10)}`, false],
  ['a hole in the second', `${one.certificate}${two.certificate.replace(/\n.{64}\n/, '\n')}`, false],
]

it.each(BUNDLES)('authorities: %s', async (name, text, isUsable) => {
  const file = join(dir, 'ca.pem')
  const { log, lines } = recordingLog()
  writeFileSync(file, two.certificate)
  const used: string[] = []
  const ca = openCaFile(file, { setting: 'provider.ca_file', log, use: (pem) => void used.push(pem) })
  writeFileSync(file, text)
  for (let n = 0; n < 2; n += 1) expect((await ca.look()).outcome, name).toBe(isUsable ? (n === 0 ? 'replaced' : 'unchanged') : 'kept')
  expect(ca.now()).toBe(isUsable ? text : two.certificate)
  expect(used).toEqual(isUsable ? [text] : [])
  // Said once, and nothing of what stands in it.
  expect(lines).toHaveLength(1)
  expect(JSON.stringify(lines)).not.toContain('CANARY')
  if (isUsable) expect(openCaFile(file, { setting: 's', log }).now()).toBe(text)
  else expect(() => openCaFile(file, { setting: 'provider.ca_file', log })).toThrow(/^provider\.ca_file: .*ca\.pem/)
})

it('what breaks, is mended and breaks again is said again', async () => {
  const file = join(dir, 'twice.pem')
  const { log, lines } = recordingLog()
  writeFileSync(file, one.certificate)
  const ca = openCaFile(file, { setting: 's', log })
  for (const text of ['', one.certificate, '']) {
    writeFileSync(file, text)
    await ca.look()
  }
  expect(lines.map(({ facts }) => facts.code)).toEqual(['file-unreadable', 'file-unreadable'])
})

it('a pipe in the place of a bundle holds nothing up', () => {
  const file = join(dir, 'pipe')
  spawnSync('mkfifo', [file])
  expect(() => openCaFile(file, { setting: 'provider.ca_file', log: recordingLog().log })).toThrow('cannot be read')
})

it('tells when the certificate in use ends, and not when one does that could not be taken', async () => {
  const files = { certificateFile: join(dir, 'tls.crt'), privateKeyFile: join(dir, 'tls.key') }
  const DAY = 86_400_000
  const now = Date.now()
  const put = ({ certificate, key }: { readonly certificate: string; readonly key: string }): void => {
    writeFileSync(files.certificateFile, certificate)
    writeFileSync(files.privateKeyFile, key)
  }
  const ending = (days: number) => selfSigned({ kind: 'ec', notAfter: new Date(now + days * DAY) })
  put(ending(10))
  const pair = openTlsPair(files, { setting: 's', log: recordingLog().log, now: () => instant(now) })
  const daysLeft = async (): Promise<number> => Math.round((((await pair.look()).notAfter ?? 0) - now) / DAY)
  expect(await daysLeft()).toBe(10)
  put(ending(-1))
  expect(await daysLeft()).toBe(10)
  put(ending(90))
  expect(await daysLeft()).toBe(90)
})

it.each([
  ['an encrypted key', one.certificate, encrypted],
  ['another’s key', one.certificate, two.key],
  ['no certificate', 'CANARY', one.key],
])('%s is no pair at the start', (_because, certificate, key) => {
  const files = { certificateFile: join(dir, 'start.crt'), privateKeyFile: join(dir, 'start.key') }
  writeFileSync(files.certificateFile, certificate)
  writeFileSync(files.privateKeyFile, key)
  const opening = () => openTlsPair(files, { setting: 'listen.tls', log: recordingLog().log })
  expect(opening).toThrow(/^listen\.tls: .*start\.crt and .*start\.key are no pair/)
  expect(opening).not.toThrow('CANARY')
})

it.each([200, 8])(
  'a certificate whose chain is cut short after %i characters does not take the place of the one in use',
  async (characters) => {
    const files = { certificateFile: join(dir, 'chain.crt'), privateKeyFile: join(dir, 'chain.key') }
    writeFileSync(files.privateKeyFile, one.key)
    const whole = `${one.certificate}${two.certificate}`
    writeFileSync(files.certificateFile, whole)
    const pair = openTlsPair(files, { setting: 's', log: recordingLog().log })
    writeFileSync(files.certificateFile, `${one.certificate}${two.certificate.slice(0, characters)}`)
    expect([(await pair.look()).outcome, pair.now().cert]).toEqual(['kept', whole])
    writeFileSync(files.certificateFile, one.certificate)
    expect([(await pair.look()).outcome, pair.now().cert]).toEqual(['replaced', one.certificate])
  },
)
