import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { createAccess } from '../../../src/session/access-redis.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-access-'))
afterAll(() => rmSync(folder, { recursive: true }))
const [certificateFile, privateKeyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]

it('a certificate for Redis is replaced with the next connection, and never by half a pair', () => {
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  const { log, lines } = recordingLog()
  const put = (certificate: string, key: string): void => {
    writeFileSync(certificateFile, certificate)
    writeFileSync(privateKeyFile, key)
  }
  put(one.certificate, one.key)
  const access = createAccess(
    {
      url: 'rediss://localhost',
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
      keyPrefix: 't',
      certificateFile,
      privateKeyFile,
    },
    log,
  )
  const shown = (): unknown[] => {
    const { cert, key } = access.tls('localhost') ?? {}
    return [cert, key]
  }
  expect(shown()).toEqual([one.certificate, one.key])
  put(two.certificate, one.key)
  expect(shown()).toEqual([one.certificate, one.key])
  put(two.certificate.slice(0, 200), two.key)
  expect(shown()).toEqual([one.certificate, one.key])
  put(two.certificate, two.key)
  expect(shown()).toEqual([two.certificate, two.key])
  expect(lines.map(({ facts }) => facts.code)).toEqual(['key-mismatch', undefined])
})
