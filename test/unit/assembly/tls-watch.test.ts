import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { watchTlsPair } from '../../../src/assembly/tls-listener.ts'
import type { TlsPair } from '../../../src/assembly/tls-listener.ts'
import { instant, seconds } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { recordingLog } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-tls-'))
})
afterEach(() => rm(dir, { recursive: true }))

// One exception, and the certificate was never looked at again: it ended months later, in a process that said nothing.
it('a certificate that could not be taken over does not end the watch: the next one is', async () => {
  const files = { certificateFile: join(dir, 'tls.crt'), privateKeyFile: join(dir, 'tls.key') }
  const put = async (): Promise<string> => {
    const { certificate, key } = selfSigned({ kind: 'ec' })
    await writeFile(files.certificateFile, certificate)
    await writeFile(files.privateKeyFile, key)
    return certificate
  }
  await put()
  const first: TlsPair = { cert: await readFile(files.certificateFile), key: await readFile(files.privateKeyFile) }
  const { log, lines } = recordingLog()
  const clock = manualClock(instant(Date.now()))
  const used: string[] = []
  let isBroken = true
  const use = ({ cert }: TlsPair): void => {
    if (isBroken) throw new Error('canary: not now')
    used.push(cert.toString())
  }
  const watch = watchTlsPair({ files, first, use, clock, log, everyMs: seconds(10) })
  await put()
  await expect.poll(async () => (await clock.advance(10_000), lines.length)).toBeGreaterThan(0)
  isBroken = false
  const next = await put()
  await expect.poll(async () => (await clock.advance(10_000), used)).toEqual([next])
  expect(JSON.stringify(lines)).not.toContain('canary')
  watch.stop()
})
