import { readFile } from 'node:fs/promises'
import type { CredentialSource, SecretCredential } from '../domain/credential.ts'
import type { Log } from '../kernel/ports.ts'
import { Secret } from '../kernel/secret.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { seconds } from '../kernel/time.ts'

export interface SecretFileDeps {
  /** `client_secret_file`: the secret and nothing else; white space around it is not part of it. */
  readonly file: string
  readonly method: SecretCredential['method']
  readonly clock: Clock
  readonly log: Log
  readonly every?: Millis
}

const CHARS_MAX = 4096

/** Reads the file again every few seconds: a rotated secret needs no restart. An emptied or vanished file does not take the one in use away. */
export const secretFileSource = async ({ file, method, clock, log, every = seconds(10) }: SecretFileDeps) => {
  const stopped = new AbortController()
  let current: SecretCredential | undefined
  let isFailing = false

  const reload = async (): Promise<void> => {
    const text = (await readFile(file, 'utf8').catch(() => '')).trim()
    if (text === '' || text.length > CHARS_MAX) {
      if (!isFailing)
        log.warn(
          { file, hint: current ? 'the last one read stays in use' : 'not ready until it can be read' },
          'client secret file is empty or cannot be read',
        )
      isFailing = true
      return
    }
    isFailing = false
    const secret = Secret.of('client-secret', text)
    if (current?.secret.equals(secret)) return
    if (current) log.info({ file }, 'client secret changed')
    current = { kind: 'secret', secret, method }
  }
  const watch = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await clock.sleep(every, stopped.signal).catch(() => undefined)
      if (!stopped.signal.aborted) await reload()
    }
  }

  await reload()
  void watch()
  const source: CredentialSource & { reload(): Promise<void>; stop(): void } = {
    current: () => current,
    reload,
    stop: () => stopped.abort(),
  }
  return source
}
