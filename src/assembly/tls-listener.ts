import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import type { Settings } from '../config/settings.ts'
import type { Log } from '../kernel/ports.ts'
import { StartError } from '../kernel/start-error.ts'
import { seconds } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'

/** `listen.tls`; and what `routes[].tls` proves itself with. */
type TlsFiles = NonNullable<Settings['listen']['tls']>

export interface TlsPair {
  readonly cert: Buffer
  readonly key: Buffer
}

/** @throws StartError when the two files are no pair */
export const readTlsPair = ({ certificateFile, privateKeyFile }: TlsFiles, setting = 'listen.tls'): TlsPair => {
  const pair = { cert: readFileSync(certificateFile), key: readFileSync(privateKeyFile) }
  if (isPair(pair)) return pair
  // What OpenSSL says names neither file.
  throw new StartError('listen.tls-unusable', `${setting}: ${certificateFile} and ${privateKeyFile} are no pair of PEM certificate and key`)
}

const isPair = (pair: TlsPair): boolean => {
  try {
    createSecureContext(pair)
    return true
  } catch {
    return false
  }
}

export interface TlsWatchDeps {
  readonly files: TlsFiles
  /** What it listens with now. */
  readonly first: TlsPair
  /** Of Node's TLS server: new connections from here on; those that stand go on as they are. */
  readonly use: (pair: TlsPair) => void
  readonly clock: Clock
  readonly log: Log
  readonly everyMs?: Millis
  /** For log lines; the listener unless told. */
  readonly setting?: string
}

/**
 * The listener's certificate without a restart. Files are swapped one after the other, and mounts in one step: what is no pair, not valid yet or no longer
 * valid is said once and not used.
 */
export const watchTlsPair = ({ files, first, use, clock, log, everyMs = seconds(10), setting = 'listen.tls' }: TlsWatchDeps) => {
  const stopped = new AbortController()
  const file = files.certificateFile
  let current = first
  let told = ''
  const tell = (code: string): void => {
    if (told === code) return
    told = code
    log.warn({ mode: setting, file, code, hint: 'the certificate in use stays' }, 'certificate of a TLS connection not usable')
  }

  const reload = async (): Promise<void> => {
    const read = await Promise.all([readFile(files.certificateFile), readFile(files.privateKeyFile)]).catch(() => undefined)
    if (!read) return tell('file-unreadable')
    const [cert, key] = read
    if (cert.equals(current.cert) && key.equals(current.key)) {
      told = ''
      return
    }
    if (!isPair({ cert, key })) return tell('key-mismatch')
    const { validFromDate, validToDate } = new X509Certificate(cert)
    if (clock.now() < validFromDate.getTime()) return tell('not-yet-valid')
    if (clock.now() >= validToDate.getTime()) return tell('expired')
    use({ cert, key })
    current = { cert, key }
    told = ''
    log.info({ mode: setting, file }, 'certificate of a TLS connection replaced')
  }
  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(everyMs, stopped.signal)
      // What is wrong today may be right tomorrow: the watch goes on. Why it failed may quote a file.
      await reload().catch(() => tell('not-taken'))
    }
  }
  // The only way out of the loop is the abort of its sleep.
  watch().catch(() => undefined)
  return { reload, stop: () => stopped.abort() }
}
