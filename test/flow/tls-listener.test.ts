import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, expect, it } from 'vitest'
import { readTlsPair, watchTlsPair } from '../../src/assembly/tls-listener.ts'
import { systemClock } from '../../src/kernel/time.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { selfSigned, type SelfSigned } from '../harness/self-signed.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-listener-'))
afterAll(() => rmSync(folder, { recursive: true }))
const files = { certificateFile: join(folder, 'tls.crt'), privateKeyFile: join(folder, 'tls.key') }
const put = ({ certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): void => {
  writeFileSync(files.certificateFile, certificate)
  writeFileSync(files.privateKeyFile, key)
}

it('the listener’s certificate is replaced with connections open, and never by half a pair or one whose time is not now', async () => {
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  put(one)
  const first = readTlsPair(files)
  const server = createServer(first, (_request, response) => void response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { log, lines } = recordingLog()
  const watched = watchTlsPair({ files, first, use: (pair) => server.setSecureContext(pair), clock: systemClock, log })
  const open: TLSSocket[] = []
  const shown = async (): Promise<string> => {
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    open.push(socket)
    return socket.getPeerCertificate().raw.toString('base64')
  }
  const rawOf = ({ certificate }: SelfSigned): string => certificate.replaceAll(/-----[A-Z ]+-----|\s/g, '')
  expect(await shown()).toBe(rawOf(one))

  const DAY = 86_400_000
  const bad: readonly Pick<SelfSigned, 'certificate' | 'key'>[] = [
    { certificate: two.certificate, key: one.key },
    { certificate: two.certificate.slice(0, 300), key: two.key },
    selfSigned({ kind: 'ec', notAfter: new Date(Date.now() - DAY) }),
    selfSigned({ kind: 'ec', notBefore: new Date(Date.now() + DAY) }),
  ]
  for (const pair of bad) {
    put(pair)
    for (let n = 0; n < 2; n += 1) await watched.reload()
    expect(await shown()).toBe(rawOf(one))
  }
  rmSync(files.certificateFile)
  await watched.reload()
  expect(lines.map(({ facts }) => facts.code)).toEqual(['key-mismatch', 'expired', 'not-yet-valid', 'file-unreadable'])

  put(two)
  await watched.reload()
  expect(await shown()).toBe(rawOf(two))
  // Whoever was connected still is.
  const [earliest] = open
  earliest?.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  const [answer] = (await once(earliest as TLSSocket, 'data')) as [Buffer]
  expect(answer.toString()).toContain('200 OK')
  for (const socket of open) socket.destroy()
  watched.stop()
  server.close()
})

it('two files that are no pair refuse the start, by name', () => {
  put({ certificate: selfSigned({ kind: 'ec' }).certificate, key: selfSigned({ kind: 'ec' }).key })
  expect(() => readTlsPair(files)).toThrow('are no pair of PEM certificate and key')
})
