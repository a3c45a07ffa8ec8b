import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Log } from '../kernel/ports.ts'
import { StartError } from '../kernel/start-error.ts'
import type { RedisSettings } from './settings-redis.ts'

/** What a connection proves itself with and verifies by, as the files say now. What cannot be read any more stays as it was. */
export interface RedisAccess {
  password(): string | undefined
  sentinelPassword(): string | undefined
  /** undefined: without TLS. @param host that is connected to */
  tls(host: string): ConnectionOptions | undefined
}

/** @throws StartError when a file of TLS cannot be read the first time: without the CA, any public one would do */
export const createAccess = (settings: RedisSettings, log: Log): RedisAccess => {
  const kept = new Map<string, string>()
  const read = (file: string | undefined): string | undefined => {
    if (file === undefined) return undefined
    try {
      const text = readFileSync(file, 'utf8')
      // Empty: somebody is writing it just now.
      if (text.trim() !== '' || !kept.has(file)) kept.set(file, text)
    } catch {
      log.warn({ file }, 'a file of the connection to the store cannot be read')
    }
    return kept.get(file)
  }
  const access: RedisAccess = {
    password: () => read(settings.passwordFile)?.trimEnd() ?? settings.password?.reveal(),
    sentinelPassword: () => ('sentinel' in settings ? read(settings.sentinel.passwordFile)?.trimEnd() : undefined),
    tls: (host) => {
      if (!usesTls(settings)) return undefined
      const [ca, cert, key] = [read(settings.caFile), read(settings.certificateFile), read(settings.privateKeyFile)]
      // SNI takes names only; an address is verified as what it is.
      const servername = settings.serverName ?? (isIP(host) === 0 ? host : undefined)
      return {
        // Said, because Node leaves it to NODE_TLS_REJECT_UNAUTHORIZED otherwise.
        rejectUnauthorized: true,
        ...(servername !== undefined && { servername }),
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
      }
    },
  }
  access.tls('')
  for (const file of usesTls(settings) ? [settings.caFile, settings.certificateFile, settings.privateKeyFile] : [])
    if (file !== undefined && !kept.has(file))
      throw new StartError('session.redis-file-unreadable', `The file ${file} of session.store.redis cannot be read.`)
  return access
}

export const usesTls = (settings: RedisSettings): boolean =>
  'url' in settings ? new URL(settings.url).protocol === 'rediss:' : settings.tls
