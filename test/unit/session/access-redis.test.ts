import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { createFileWatch } from '../../../src/kernel/file-watch.ts'
import { createAccess } from '../../../src/session/access-redis.ts'
import { watchPassword } from '../../../src/session/password-watch-redis.ts'
import { manualClock } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-access-'))
afterAll(() => rmSync(folder, { recursive: true }))
const [certificateFile, privateKeyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
const PLAIN = { username: undefined, passwordFile: undefined, caFile: undefined, serverName: undefined, keyPrefix: 't' }

it('a certificate for Redis is replaced with the next connection, and never by half a pair', () => {
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  const { log, lines } = recordingLog()
  const put = (certificate: string, key: string): void => {
    writeFileSync(certificateFile, certificate)
    writeFileSync(privateKeyFile, key)
  }
  put(one.certificate, one.key)
  const access = createAccess({ ...PLAIN, url: 'rediss://localhost', certificateFile, privateKeyFile }, log)
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

// Read in the way of everybody, a file system whose server is gone would have stopped the whole gateway with each look.
it('a look at the password is in nobody’s way, and one that does not come back holds up no other', async () => {
  const clock = manualClock()
  const { log } = recordingLog()
  const seen: string[] = []
  const watch = createFileWatch({ clock, log, onLook: (setting) => void seen.push(setting) })
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, 'CANARY-one\n')
  const access = createAccess({ ...PLAIN, url: 'redis://localhost', passwordFile }, log)
  let reads = 0
  const hanging = { ...access, password: () => ((reads += 1), access.password()), passwordSoon: () => new Promise<undefined>(() => {}) }
  watchPassword({ access: hanging, username: undefined, log, watch, connections: () => [] })
  watch.add('another', async () => ({ outcome: 'unchanged' }))
  await clock.advance(5_000)
  expect([seen, reads]).toEqual([['another'], 1]) // the one is that of the start
  for (const [text, password] of [
    ['CANARY-two\n', 'CANARY-two'],
    ['', 'CANARY-two'],
  ] as const) {
    writeFileSync(passwordFile, text)
    expect([await access.passwordSoon(), access.password()]).toEqual([password, password])
  }
})
