import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { createSecureContext, type ConnectionOptions } from 'node:tls'
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
  /** The last that was one: the two files are not written at once, and TLS throws at half of it. */
  let held: { readonly cert: string | undefined; readonly key: string | undefined } | undefined
  const pair = () => {
    const next = { cert: read(settings.certificateFile), key: read(settings.privateKeyFile) }
    if (held && next.cert === held.cert && next.key === held.key) return held
    if (held && !isPair(next)) {
      log.warn({ file: settings.certificateFile ?? '', code: 'key-mismatch' }, 'certificate for the store not usable')
      return held
    }
    held = next
    return held
  }
  const access: RedisAccess = {
    password: () => read(settings.passwordFile)?.trimEnd() ?? settings.password?.reveal(),
    sentinelPassword: () => ('sentinel' in settings ? read(settings.sentinel.passwordFile)?.trimEnd() : undefined),
    tls: (host) => {
      if (!usesTls(settings)) return undefined
      const ca = read(settings.caFile)
      const { cert, key } = pair()
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

const isPair = ({ cert, key }: { readonly cert: string | undefined; readonly key: string | undefined }): boolean => {
  try {
    createSecureContext({ ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) })
    return true
  } catch {
    return false
  }
}

export const usesTls = (settings: RedisSettings): boolean =>
  'url' in settings ? new URL(settings.url).protocol === 'rediss:' : settings.tls
