import { X509Certificate } from 'node:crypto'
import { dirname } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { FileLook } from './file-watch.ts'
import { ofOneVersion } from './mount.ts'
import { isCutShort } from './pem.ts'
import type { Facts, Log } from './ports.ts'
import { readText, readTextNow } from './read-file.ts'
import { StartError } from './start-error.ts'
import { instant } from './time.ts'
import type { Instant } from './time.ts'

export interface TlsPairFiles {
  readonly certificateFile: string
  readonly privateKeyFile: string
}

/** PEM. */
export interface TlsPair {
  readonly cert: string
  readonly key: string
}

/** What a file, or two that belong together, held last that could be used. */
export interface TlsFile<T> {
  now(): T
  /** For the watch. */
  look(): Promise<FileLook>
  /** For who is about to connect. */
  lookNow(): void
}

export interface TlsFileDeps<T> {
  /** That names the files, for messages. */
  readonly setting: string
  readonly log: Log
  /** Of this machine: certificates are made by its like. */
  readonly now?: () => Instant
  /** Told of each that replaces another. Where it throws, it is offered again at the next look. */
  readonly use?: ((value: T) => void) | undefined
}

/**
 * A certificate and its key. Files are swapped one after the other, and mounts in one step: what is no pair, not valid yet or no longer valid is said once and
 * not used.
 * @throws StartError when they are none at the start; their dates are not judged then: nothing better is there
 */
export const openTlsPair = (files: TlsPairFiles, deps: TlsFileDeps<TlsPair>): TlsFile<TlsPair> => {
  const { certificateFile, privateKeyFile } = files
  const { setting, now = () => instant(Date.now()) } = deps
  const readNow = (): TlsPair => ({ cert: readTextNow(certificateFile) ?? '', key: readTextNow(privateKeyFile) ?? '' })
  const read = async (): Promise<TlsPair> => ({
    cert: (await readText(certificateFile)) ?? '',
    key: (await readText(privateKeyFile)) ?? '',
  })
  const first = readNow()
  for (const [file, text] of [
    [certificateFile, first.cert],
    [privateKeyFile, first.key],
  ])
    if (text === '') throw new StartError('tls.file-unreadable', `${setting}: the file ${file} cannot be read or is empty. ${READABLE}`)
  // What OpenSSL says names neither file.
  if (!isPair(first))
    throw new StartError(
      'tls.pair-unusable',
      `${setting}: ${certificateFile} and ${privateKeyFile} are no pair of PEM certificate and key. Put the certificate into the one and its own private key, not encrypted, into the other`,
    )
  const dates = ({ cert }: TlsPair) => {
    const { validFromDate, validToDate } = new X509Certificate(cert)
    return { notBefore: instant(validFromDate.getTime()), notAfter: instant(validToDate.getTime()) }
  }
  let notAfter = dates(first).notAfter
  return tlsFile(deps, { mode: setting, file: certificateFile }, first, {
    read: async () => (await ofOneVersion(dirname(certificateFile), read)) ?? { cert: '', key: '' },
    readNow,
    isSame: (a, b) => a.cert === b.cert && a.key === b.key,
    faultOf: (pair) => {
      if (pair.cert === '' || pair.key === '') return 'file-unreadable'
      if (!isPair(pair)) return 'key-mismatch'
      const { notBefore, notAfter: end } = dates(pair)
      return now() < notBefore ? 'not-yet-valid' : now() >= end ? 'expired' : undefined
    },
    taken: (pair) => {
      notAfter = dates(pair).notAfter
    },
    notAfter: () => notAfter,
  })
}
const READABLE = 'Give the path of a PEM file that this user may read'

const isPair = (pair: TlsPair): boolean => {
  try {
    createSecureContext(pair)
    return !isCutShort(pair.cert) && new X509Certificate(pair.cert).validTo !== ''
  } catch {
    return false
  }
}

/** The authorities that somebody is verified by. A bundle that is half written trusts fewer than it should: it is said once and not used. @throws StartError when it holds none at the start */
export const openCaFile = (file: string, deps: TlsFileDeps<string>): TlsFile<string> => {
  const first = readTextNow(file, BUNDLE_BYTES_MAX)
  if (first === undefined)
    throw new StartError('tls.file-unreadable', `${deps.setting}: the file ${file} cannot be read or is empty. ${READABLE}`)
  // Nothing but comments, a key, or DER: TLS would trust nobody, and say so with the first request only.
  if (!isBundle(first))
    throw new StartError(
      'tls.ca-unusable',
      `${deps.setting}: ${file} is no bundle of PEM certificates, or is cut short. Put the certificates of the authorities into it, one PEM block after the other`,
    )
  return tlsFile(deps, { mode: deps.setting, file }, first, {
    read: async () => (await readText(file, BUNDLE_BYTES_MAX)) ?? '',
    readNow: () => readTextNow(file, BUNDLE_BYTES_MAX) ?? '',
    isSame: (a, b) => a === b,
    faultOf: (text) => (text === '' ? 'file-unreadable' : isBundle(text) ? undefined : 'ca-unusable'),
    taken: () => undefined,
    notAfter: () => undefined,
  })
}

/** Those of a whole system are some 200 KiB. */
const BUNDLE_BYTES_MAX = 2 * 1024 * 1024
const BLOCK = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[^-]*-----END \1-----/g
/** Every certificate that begins in it ends in it, and can be read. */
const isBundle = (text: string): boolean => {
  const blocks = text.match(BLOCK) ?? []
  try {
    return blocks.length > 0 && !isCutShort(text) && blocks.every((block) => new X509Certificate(block).validTo !== '')
  } catch {
    return false // what cannot be parsed may be quoted in the error
  }
}

interface Kind<T> {
  readonly read: () => Promise<T>
  readonly readNow: () => T
  readonly isSame: (a: T, b: T) => boolean
  readonly faultOf: (value: T) => string | undefined
  readonly taken: (value: T) => void
  readonly notAfter: () => Instant | undefined
}

const tlsFile = <T>({ log, use }: TlsFileDeps<T>, facts: Facts, first: T, kind: Kind<T>): TlsFile<T> => {
  let current = first
  let told: string | undefined
  let begun = 0
  const take = (read: T): FileLook['outcome'] => {
    const fault = kind.isSame(read, current) ? undefined : kind.faultOf(read)
    if (fault !== undefined && fault !== told)
      log.warn({ ...facts, code: fault, hint: 'what is in use stays' }, 'file of TLS connections not usable')
    told = fault
    if (fault !== undefined) return 'kept'
    if (kind.isSame(read, current)) return 'unchanged'
    use?.(read)
    current = read
    kind.taken(read)
    log.info(facts, 'file of TLS connections replaced')
    return 'replaced'
  }
  return {
    now: () => current,
    look: async () => {
      begun += 1
      const mine = begun
      const read = await kind.read()
      // Overtaken by one that began later, and has read what is newer.
      return { outcome: mine === begun ? take(read) : 'unchanged', notAfter: kind.notAfter() }
    },
    lookNow: () => {
      begun += 1
      take(kind.readNow())
    },
  }
}
