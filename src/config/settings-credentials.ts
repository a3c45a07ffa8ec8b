import * as z from 'zod'
import { count, duration, filePath, plainText, setting } from './setting.ts'

/** One entry of `client_auth`: exactly one source. */
export const clientAuthEntry = z.strictObject({
  certificate_dir: setting(filePath().optional(), {
    doc: 'Folder of certificate and key pairs (`name.crt`, `.pem` or `.cer` with `name.key`). Every pair in it is loaded and watched; a new one is used once the provider takes it.',
    reload: 'live',
  }),
  certificate_file: setting(filePath().optional(), {
    doc: 'One certificate in PEM, with its chain below it if there is one. Goes with `private_key_file`. With a folder (`certificate_dir`) the next one can lie beside it. Watched.',
    reload: 'live',
  }),
  private_key_file: setting(filePath().optional(), {
    doc: 'The private key of `certificate_file` in PEM: PKCS#8, PKCS#1 or SEC1.',
    reload: 'live',
  }),
  passphrase_file: setting(filePath().optional(), { doc: 'File that holds the passphrase of encrypted private keys.', reload: 'live' }),
  jwk_file: setting(filePath().optional(), {
    doc: 'File of one private JSON Web Key for `private_key_jwt`; its `kid` names it at the provider. Watched.',
    reload: 'live',
  }),
  assertion_file: setting(filePath().optional(), {
    doc: 'File of a signed JWT that somebody else writes and keeps fresh: workload identity (Kubernetes, SPIFFE, Entra federated credentials). Read on every use.',
    reload: 'live',
    example: '/var/run/secrets/azure/tokens/azure-identity-token',
  }),
  client_secret_file: setting(filePath().optional(), { doc: 'File that holds the client secret. Watched.', reload: 'live' }),
  client_secret: setting(plainText('a reference to the client secret', 4096).optional(), {
    doc: 'The client secret, as a reference only.',
    secret: true,
    example: '${env:CLIENT_SECRET}',
  }),
  method: setting(
    z.enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth']).optional(),
    {
      doc: 'How it is presented. A secret: `client_secret_basic` unless set. A certificate: in a signed assertion (`private_key_jwt`) unless set, or in the TLS handshake (RFC 8705; `tls_client_auth` for a PKI, `self_signed_tls_client_auth`).',
    },
  ),
})

export const credentialRotationSettings = z
  .strictObject({
    probe: setting(z.enum(['auto', 'client-credentials', 'refresh-token', 'none']).prefault('auto'), {
      doc: 'What a new credential is tried with: client credentials, a refresh token that nobody ever issued (needs no permission, and shows as a failed sign-in in the provider’s log), or nothing. `auto`: what suits the profile.',
    }),
    acceptances: setting(count(1, 20).prefault(3), {
      doc: 'So many times in a row the provider must take a new credential before it replaces one that works; while the one in use is rejected, once is enough.',
    }),
    spread: setting(duration(0, 3_600_000).prefault('2m'), {
      doc: 'The time that these acceptances must span: a provider’s servers do not learn of a new key all at once.',
    }),
    retry: setting(duration(100, 3_600_000).prefault('30s'), {
      doc: 'The first wait after a probe that was rejected; later ones take up to ten times as long.',
    }),
    activate_after: setting(duration(0).optional(), {
      doc: 'Where nothing can be probed: a new credential is used this long after it was found. Without it: when an operator promotes it.',
    }),
    keep_previous: setting(duration(0).prefault('24h'), {
      doc: 'How long the credential before stays the first one to fall back on. Keep it registered at the provider as long.',
    }),
    demote_after: setting(count(1, 100).prefault(3), {
      doc: 'After so many rejections within five minutes, the credential that was accepted instead is used; after the first, if the one in use has never been accepted.',
    }),
  })
  .prefault({})
