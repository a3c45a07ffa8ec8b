import { Secret } from '../kernel/secret.ts'
import { millis } from '../kernel/time.ts'
import { resolvePath } from './reference.ts'
import type { Parsed } from './schema.ts'
import type { ClientAuthSettings, CredentialRotationSettings } from './settings.ts'

export const buildClientAuth = (entry: Parsed['provider']['client_auth'][number], dir: string): ClientAuthSettings => {
  const at = (path: string): string => resolvePath(dir, path)
  const method = entry.method === 'tls_client_auth' || entry.method === 'self_signed_tls_client_auth' ? entry.method : 'private_key_jwt'
  const certificate = { method, passphraseFile: entry.passphrase_file === undefined ? undefined : at(entry.passphrase_file) } as const
  if (entry.certificate_dir !== undefined) return { kind: 'certificate-dir', dir: at(entry.certificate_dir), ...certificate }
  if (entry.certificate_file !== undefined) {
    const privateKeyFile = at(entry.private_key_file ?? '')
    return { kind: 'certificate-file', certificateFile: at(entry.certificate_file), privateKeyFile, ...certificate }
  }
  if (entry.jwk_file !== undefined) return { kind: 'jwk-file', file: at(entry.jwk_file) }
  if (entry.assertion_file !== undefined) return { kind: 'assertion-file', file: at(entry.assertion_file) }
  const sent = entry.method === 'client_secret_post' ? entry.method : 'client_secret_basic'
  if (entry.client_secret_file !== undefined) return { kind: 'secret-file', file: at(entry.client_secret_file), method: sent }
  return { kind: 'secret', secret: Secret.of('client-secret', entry.client_secret ?? ''), method: sent }
}

export const buildCredentialRotation = (rotation: Parsed['provider']['credential_rotation']): CredentialRotationSettings => ({
  probe: rotation.probe,
  acceptances: rotation.acceptances,
  spreadMs: millis(rotation.spread),
  retryMs: millis(rotation.retry),
  activateAfterMs: rotation.activate_after === undefined ? undefined : millis(rotation.activate_after),
  keepPreviousMs: millis(rotation.keep_previous),
  demoteAfter: rotation.demote_after,
})
