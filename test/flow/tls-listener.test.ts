import { Agent, createServer, get } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, expect, it } from 'vitest'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import { openTlsPair } from '../../src/kernel/tls-files.ts'
import { manualClock } from '../harness/clock.ts'
import { recordingLog } from '../harness/provider-room.ts'
import { createMount } from '../harness/rotations/mount.ts'
import { selfSigned, type SelfSigned } from '../harness/self-signed.ts'
import { steadyLoad } from '../harness/steady-load.ts'

const folder = mkdtempSync(join(tmpdir(), 'sallyport-listener-'))
afterAll(() => rmSync(folder, { recursive: true }))
const files = { certificateFile: join(folder, 'tls.crt'), privateKeyFile: join(folder, 'tls.key') }
const put = ({ certificate, key }: Pick<SelfSigned, 'certificate' | 'key'>): void => {
  writeFileSync(files.certificateFile, certificate)
  writeFileSync(files.privateKeyFile, key)
}

/** A TLS listener with a watched pair, as the public one has it. */
const listening = async (at = files) => {
  const { log, lines } = recordingLog()
  const watch = createFileWatch({ clock: manualClock(), log })
  const pair = openTlsPair(at, { setting: 'listen.tls', log, use: (next) => server.setSecureContext(next) })
  watch.add('listen.tls', pair.look)
  const server = createServer(pair.now(), (_request, response) => void response.end('ok')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { server, port, watch, lines }
}

it('the listener’s certificate is replaced with connections open, and never by half a pair or one whose time is not now', async () => {
  const [one, two] = [selfSigned({ kind: 'ec' }), selfSigned({ kind: 'ec' })]
  put(one)
  const { server, port, watch, lines } = await listening()
  const open: TLSSocket[] = []
  const shown = async (): Promise<string> => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false })
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
    for (let n = 0; n < 2; n += 1) await watch.lookAtAll()
    expect(await shown()).toBe(rawOf(one))
  }
  rmSync(files.certificateFile)
  await watch.lookAtAll()
  expect(lines.map(({ facts }) => facts.code)).toEqual(['key-mismatch', 'expired', 'not-yet-valid', 'file-unreadable'])

  put(two)
  await watch.lookAtAll()
  expect(await shown()).toBe(rawOf(two))
  // Whoever was connected still is.
  const [earliest] = open
  earliest?.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n')
  const [answer] = (await once(earliest as TLSSocket, 'data')) as [Buffer]
  expect(answer.toString()).toContain('200 OK')
  for (const socket of open) socket.destroy()
  await watch.stop()
  server.close()
})

it('a mounted pair is swapped again and again under load, and no request fails', async () => {
  const mount = createMount(join(folder, 'mount'))
  const all = ['one', 'two', 'three', 'four'].map((subject) => selfSigned({ kind: 'ec', subject }))
  const swap = ({ certificate, key }: SelfSigned): void => mount.put({ 'tls.crt': certificate, 'tls.key': key })
  swap(all[0] as SelfSigned)
  const { server, port, watch } = await listening({
    certificateFile: join(mount.dir, 'tls.crt'),
    privateKeyFile: join(mount.dir, 'tls.key'),
  })
  const trusting = { ca: all.map(({ certificate }) => certificate), servername: 'localhost' }
  // One that keeps its connections, and one that comes anew each time.
  const keeping = new Agent({ ...trusting, keepAlive: true, maxSockets: 2 })
  let n = 0
  const seen = new Set<string>()
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      n += 1
      const options = n % 2 === 0 ? { agent: keeping } : { agent: false as const, ...trusting }
      get({ host: '127.0.0.1', port, ...options }, (response) => {
        const shown = (response.socket as TLSSocket).getPeerX509Certificate()
        if (shown) seen.add(shown.fingerprint256) // none where a session is resumed
        response.resume().on('end', resolve).on('error', reject)
      }).on('error', reject)
    })
  const load = steadyLoad(ask)
  for (const pair of all) {
    swap(pair)
    await watch.lookAtAll()
    await load.more(20)
  }
  expect(await load.stop()).toEqual([])
  expect(seen.size).toBe(all.length)
  keeping.destroy()
  await watch.stop()
  server.close()
})

// One exception, and the certificate was never looked at again: it ended months later, in a process that said nothing.
it('a certificate that could not be taken over is offered again at the next look', async () => {
  put(selfSigned({ kind: 'ec' }))
  const { log, lines } = recordingLog()
  const watch = createFileWatch({ clock: manualClock(), log })
  const used: string[] = []
  let isBroken = true
  const use = ({ cert }: { readonly cert: string }): void => {
    if (isBroken) throw new Error('CANARY: not now')
    used.push(cert)
  }
  watch.add('listen.tls', openTlsPair(files, { setting: 'listen.tls', log, use }).look)
  const next = selfSigned({ kind: 'ec' })
  put(next)
  await watch.lookAtAll()
  isBroken = false
  await watch.lookAtAll()
  expect(used).toEqual([next.certificate])
  expect(JSON.stringify(lines)).not.toContain('CANARY')
  await watch.stop()
})

it('two files that are no pair refuse the start, by name', () => {
  put({ certificate: selfSigned({ kind: 'ec' }).certificate, key: selfSigned({ kind: 'ec' }).key })
  expect(() => openTlsPair(files, { setting: 'listen.tls', log: recordingLog().log })).toThrow('are no pair of PEM certificate and key')
})
