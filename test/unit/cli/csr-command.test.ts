import { spawnSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { certificateDirSource } from '../../../src/credentials/source-certificate-file.ts'
import { shell } from './a-shell.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const openssl = (...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return `${stdout}${stderr}`
}

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sallyport-csr-'))
})
afterEach(() => rmSync(dir, { recursive: true }))
const csr = (...args: string[]) => shell(['credentials', 'csr', '--dir', dir, ...args])

describe('sallyport credentials csr', () => {
  it.skipIf(!hasOpenssl).each(['rsa', 'ec'])('makes a request that others read, with a key of kind %s', async (kind) => {
    expect((await csr('--name', '2027', '--key', kind, '--subject', 'Shop gateway')).code).toBe(0)
    const told = openssl('req', '-in', join(dir, '2027.csr'), '-verify', '-noout', '-subject')
    expect(told).toMatch(/verify OK/)
    expect(told).toMatch(/CN ?= ?Shop gateway/)
    expect(openssl('req', '-in', join(dir, '2027.csr'), '-pubkey', '-noout')).toBe(openssl('pkey', '-in', join(dir, '2027.key'), '-pubout'))
  })

  it.each(['rsa', 'ec'])('makes a pair that the folder takes, with a key of kind %s, and tells its thumbprints', async (kind) => {
    const { code, out } = await csr('--name', '2027', '--days', '180', '--key', kind)
    expect(code).toBe(0)
    const certificate = new X509Certificate(readFileSync(join(dir, '2027.crt')))
    const key = createPrivateKey(readFileSync(join(dir, '2027.key')))
    expect([certificate.checkPrivateKey(key), certificate.verify(certificate.publicKey), certificate.ca]).toEqual([true, true, false])
    expect(Math.round((certificate.validToDate.getTime() - Date.now()) / 86_400_000)).toBe(180)
    expect(out).toContain(certificate.fingerprint256.replaceAll(':', ''))
    expect(out).toContain(certificate.fingerprint.replaceAll(':', ''))
    const { loaded, faults } = await certificateDirSource({ dir, method: 'private_key_jwt' }).look()
    expect([loaded.length, faults]).toEqual([1, []])
    if (hasOpenssl) expect(openssl('verify', '-CAfile', join(dir, '2027.crt'), join(dir, '2027.crt'))).toContain('OK')
  })

  it('shows the private key to nobody: not on the terminal, and its file to its owner only', async () => {
    const { out, err } = await csr('--name', 'next', '-o', 'json')
    expect(statSync(join(dir, 'next.key')).mode & 0o777).toBe(0o600)
    expect(JSON.parse(out)).toMatchObject({ private_key_file: join(dir, 'next.key'), request_file: join(dir, 'next.csr') })
    const [, secret = '-'] = readFileSync(join(dir, 'next.key'), 'utf8').split('\n')
    expect(`${out}${err}`).not.toContain(secret)
  })

  it('replaces nothing that is there', async () => {
    await csr('--name', 'next', '--days', '9')
    const before = readFileSync(join(dir, 'next.key'), 'utf8')
    expect(await csr('--name', 'next', '--days', '9')).toMatchObject({
      code: 2,
      err: expect.stringContaining('nothing is replaced') as string,
    })
    expect(readFileSync(join(dir, 'next.key'), 'utf8')).toBe(before)
  })

  it.each([
    [['--name', '../x'], '--name'],
    [[], '--name'],
    [['--name', 'x', '--days', '0'], '--days'],
    [['--name', 'x', '--key', 'dsa'], '--key'],
    [['--name', 'x', '--subject', 'a=b,c'], '--subject'],
  ])('%j is no way to call it', async (args, said) => {
    expect(await csr(...args)).toMatchObject({ code: 2, err: expect.stringContaining(said) as string })
    expect(readdirSync(dir)).toEqual([])
  })
})
