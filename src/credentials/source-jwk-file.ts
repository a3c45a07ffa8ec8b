import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { CredentialSource, JwkCredential } from '../domain/credential.ts'
import type { Log } from '../kernel/ports.ts'
import { seconds } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { judgeJwk } from './jwk.ts'

export interface JwkFileDeps {
  /** `jwk_file`: one private JSON Web Key. */
  readonly file: string
  readonly clock: Clock
  readonly log: Log
  /** How often it is looked at; a poll, because symlinked mounts report their swap to no watcher reliably. */
  readonly every?: Millis
}

export interface JwkFileSource extends CredentialSource {
  /** Reads the file now. */
  reload(): Promise<void>
  stop(): void
}

/** The largest RSA key anybody uses is a tenth of it. */
const BYTES_MAX = 64 * 1024

/** Reads the file again when it has changed; a file that cannot be used takes the key in use away from nobody. Started with its first read done. */
export const startJwkFileSource = async ({ file, clock, log, every = seconds(10) }: JwkFileDeps): Promise<JwkFileSource> => {
  const stopped = new AbortController()
  let active: JwkCredential | undefined
  let seen: string | undefined
  let told: string | undefined

  const reload = async (): Promise<void> => {
    const text = await read(file)
    if (text === undefined) return tell('file-unreadable')
    const digest = createHash('sha256').update(text).digest('base64url')
    if (digest === seen) return
    seen = digest
    const judged = judgeJwk(text, file)
    if (judged.kind === 'unusable') return tell(judged.fault)
    told = undefined
    active = judged.credential
    log.info({ file, kid: active.kid }, 'client key loaded')
  }

  /** Once per fault, not once per look. `seen` is forgotten with an unreadable file: the same text coming back is worth a look. */
  const tell = (fault: string): void => {
    if (fault === 'file-unreadable') seen = undefined
    if (told === fault) return
    told = fault
    log.warn({ file, code: fault, ...(active && { hint: 'the last one read stays in use' }) }, 'client key not usable')
  }

  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(every, stopped.signal)
      await reload()
    }
  }

  await reload()
  // The only way out of the loop is the abort of its sleep.
  watch().catch(() => undefined)
  return { current: () => active, reload, stop: () => stopped.abort() }
}

const read = async (file: string): Promise<string | undefined> => {
  try {
    const bytes = await readFile(file)
    return bytes.length > BYTES_MAX ? undefined : bytes.toString('utf8')
  } catch {
    return undefined
  }
}
