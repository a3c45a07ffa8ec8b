import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { CertificateCredential, Credential, CredentialSource } from '../domain/credential.ts'
import type { Log } from '../kernel/ports.ts'
import { seconds } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { judgePair, newest } from './certificate.ts'

export interface FileSourceDeps {
  /** `certificate_dir`: pairs `name.crt` or `name.pem` with `name.key`, for instance Kubernetes' tls.crt and tls.key. */
  readonly dir: string
  readonly clock: Clock
  readonly log: Log
  /** How often the directory is looked at; a poll, because symlinked mounts report their swap to no watcher reliably. */
  readonly every?: Millis
}

export interface FileSource extends CredentialSource {
  /** Reads the directory now. */
  reload(): Promise<void>
  stop(): void
}

const CERTIFICATES = new Set(['.crt', '.pem'])
/** No certificate or key is larger; a mistaken mount does not fill the memory. */
const FILE_BYTES_MAX = 256 * 1024

/** Reads the pairs of a directory, keeps the newest usable one, and never gives it up for none. Started with its first read done. */
export const startFileSource = async ({ dir, clock, log, every = seconds(10) }: FileSourceDeps): Promise<FileSource> => {
  const stopped = new AbortController()
  const faults = new Map<string, string>()
  let active: CertificateCredential | undefined
  let seen = ''

  const reload = async (): Promise<void> => {
    const pairs = await readPairs(dir)
    if (pairs === undefined) return once(dir, 'dir-unreadable')
    const digest = digestOf(pairs)
    // Dates pass without any file changing: an unchanged directory is judged again only while nothing valid is held.
    if (digest === seen && active !== undefined && clock.now() < active.notAfter && faults.size === 0) return
    seen = digest
    const usable: CertificateCredential[] = []
    const names = new Set<string>()
    for (const { name, certificate, key } of pairs) {
      names.add(name)
      const pair = judgePair(certificate, key, name, clock.now())
      if (pair.kind === 'usable') {
        usable.push(pair.credential)
        faults.delete(name)
      } else once(name, pair.fault)
    }
    if (pairs.length === 0) {
      names.add(dir)
      once(dir, 'dir-without-pair')
    }
    for (const name of faults.keys()) if (!names.has(name)) faults.delete(name)
    // Whoever replaced the pair in its place meant it. One whose files are half-written or gone is still the best there is, until it expires.
    const inPlace = usable.some(({ file }) => file === active?.file)
    swap(newest(active && !inPlace && clock.now() < active.notAfter ? [...usable, active] : usable))
  }

  /** Half-written pairs and vanished files leave the credential in use alone: it is never given up for a worse one. */
  const swap = (next: CertificateCredential | undefined): void => {
    if (!next || next.thumbprint === active?.thumbprint) return
    active = next
    log.info({ file: next.file, kid: next.thumbprint }, 'client certificate loaded')
  }

  const once = (name: string, fault: string): void => {
    if (faults.get(name) === fault) return
    faults.set(name, fault)
    log.warn({ file: name, code: fault }, 'client certificate not usable')
  }

  const poll = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(every, stopped.signal)
      await reload()
    }
  }

  await reload()
  // The only way out of the loop is the abort of its sleep.
  poll().catch(() => undefined)
  return { current: (): Credential | undefined => active, reload, stop: () => stopped.abort() }
}

interface PairFiles {
  readonly name: string
  readonly certificate: string
  readonly key: string
}

/** A certificate without its key file (yet) is a pair with an empty key: reported, not used. */
const readPairs = async (dir: string): Promise<readonly PairFiles[] | undefined> => {
  try {
    const names = (await readdir(dir)).filter((name) => !name.startsWith('.')).toSorted()
    const certificates = names.filter((name) => CERTIFICATES.has(extname(name)))
    return await Promise.all(
      certificates.map(async (name) => ({
        name,
        certificate: await read(join(dir, name)),
        key: await read(join(dir, `${name.slice(0, -extname(name).length)}.key`)),
      })),
    )
  } catch {
    return undefined
  }
}

const read = async (path: string): Promise<string> => {
  try {
    const bytes = await readFile(path)
    return bytes.length > FILE_BYTES_MAX ? '' : bytes.toString('utf8')
  } catch {
    return '' // between readdir and here the mount may have been swapped: the next look finds the new pair
  }
}

const digestOf = (pairs: readonly PairFiles[]): string => {
  const hash = createHash('sha256')
  for (const pair of pairs) for (const part of [pair.name, pair.certificate, pair.key]) hash.update(`${part.length}:`).update(part)
  return hash.digest('base64url')
}
