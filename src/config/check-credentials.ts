import type { SettingPath } from './path.ts'
import type { Report } from './report.ts'
import type { Parsed } from './schema.ts'

type Entry = Parsed['provider']['client_auth'][number]

const METHODS_OF_CERTIFICATES = new Set(['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'])
const METHODS_OF_SECRETS = new Set(['client_secret_basic', 'client_secret_post'])

/** One source, with what belongs to it and nothing else. */
export const checkClientAuth = (entry: Entry, path: SettingPath, report: Report): void => {
  const secret = entry.client_secret_file ?? entry.client_secret
  const certificate = entry.certificate_dir ?? entry.certificate_file
  const given = [
    entry.certificate_dir,
    entry.certificate_file,
    entry.jwk_file,
    entry.assertion_file,
    entry.client_secret_file,
    entry.client_secret,
  ].filter((value) => value !== undefined).length
  const { method } = entry
  const isMethodOther =
    method !== undefined &&
    !(certificate !== undefined && METHODS_OF_CERTIFICATES.has(method)) &&
    !(secret !== undefined && METHODS_OF_SECRETS.has(method)) &&
    !(entry.jwk_file !== undefined && method === 'private_key_jwt')
  if (given !== 1 || isMethodOther) return void report({ code: 'config.client-auth-choice', path })
  if ((entry.certificate_file === undefined) !== (entry.private_key_file === undefined))
    return void report({ code: 'config.client-auth-half', path })
  if (entry.passphrase_file !== undefined && certificate === undefined) report({ code: 'config.client-auth-choice', path })
}
