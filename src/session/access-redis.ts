import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { FileLook } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { readText, readTextNow } from '../kernel/read-file.ts'
import { openCaFile, openTlsPair } from '../kernel/tls-files.ts'
import type { RedisSettings } from './settings-redis.ts'

/** What a connection proves itself with and verifies by, as the files say when it is made. What cannot be read or used any more stays as it was. */
export interface RedisAccess {
  password(): string | undefined
  /** The same for the watch, which nobody waits for: where the file system hangs, only the watch of this file does. */
  passwordSoon(): Promise<string | undefined>
  sentinelPassword(): string | undefined
  /** undefined: without TLS. @param host that is connected to */
  tls(host: string): ConnectionOptions | undefined
  /** Of the files of TLS, for the watch: by the settings that name them. */
  readonly looks: readonly (readonly [setting: string, look: () => Promise<FileLook>])[]
}

const SETTING = 'session.store.redis'

/** @throws StartError when a file of TLS cannot be used the first time: without the CA, any public one would do */
export const createAccess = (settings: RedisSettings, log: Log): RedisAccess => {
  const password = keptFile(settings.passwordFile, log)
  const sentinelPassword = keptFile('sentinel' in settings ? settings.sentinel.passwordFile : undefined, log)
  const { caFile, certificateFile, privateKeyFile, serverName } = settings
  const isTls = usesTls(settings)
  const ca = isTls && caFile !== undefined ? openCaFile(caFile, { setting: `${SETTING}.ca_file`, log }) : undefined
  const pair =
    isTls && certificateFile !== undefined && privateKeyFile !== undefined
      ? openTlsPair({ certificateFile, privateKeyFile }, { setting: `${SETTING}.certificate_file`, log })
      : undefined
  return {
    password: () => password.now() ?? settings.password?.reveal(),
    passwordSoon: async () => (await password.soon()) ?? settings.password?.reveal(),
    sentinelPassword: sentinelPassword.now,
    tls: (host) => {
      if (!isTls) return undefined
      // Now rather than with the next look of the watch: it is a server that closed us, and perhaps for what we had.
      ca?.lookNow()
      pair?.lookNow()
      // SNI takes names only; an address is verified as what it is.
      const servername = serverName ?? (isIP(host) === 0 ? host : undefined)
      return {
        // Said, because Node leaves it to NODE_TLS_REJECT_UNAUTHORIZED otherwise.
        rejectUnauthorized: true,
        ...(servername !== undefined && { servername }),
        ...(ca && { ca: ca.now() }),
        ...pair?.now(),
      }
    },
    looks: [
      ...(ca ? [[`${SETTING}.ca_file`, ca.look] as const] : []),
      ...(pair ? [[`${SETTING}.certificate_file`, pair.look] as const] : []),
    ],
  }
}

/** A password as its file says now; empty, somebody is writing it just now, and the last one stays. */
const keptFile = (file: string | undefined, log: Log) => {
  let kept: string | undefined
  let isTold = false
  const take = (read = ''): string | undefined => {
    const text = read.trimEnd()
    if (text !== '') kept = text
    else if (!isTold && file !== undefined) log.warn({ file }, 'a file of the connection to the store cannot be read or is empty')
    isTold = text === ''
    return kept
  }
  return {
    now: () => (file === undefined ? undefined : take(readTextNow(file))),
    soon: async () => (file === undefined ? undefined : take(await readText(file))),
  }
}

export const usesTls = (settings: RedisSettings): boolean =>
  'url' in settings ? new URL(settings.url).protocol === 'rediss:' : settings.tls
