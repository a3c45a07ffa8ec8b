import type { webcrypto } from 'node:crypto'
import { ClientSecretBasic, ClientSecretPost, modifyAssertion, PrivateKeyJwt } from 'openid-client'
import type { ClientAuth } from 'openid-client'
import type { AssertionAlgorithm, CertificateCredential, Credential, CredentialSource, JwkCredential } from '../domain/credential.ts'
import { assertNever } from '../kernel/assert.ts'
import type { ProfileTraits } from './profiles.ts'

/** Thrown into openid-client before anything is sent; the call is then `not-sent`. */
export class NoCredentialError extends Error {}

/** Asks the source anew on every call, so that a rotation needs no restart and drops no request. */
export const clientAuth =
  (source: CredentialSource, traits: ProfileTraits, tokenEndpoint: URL): ClientAuth =>
  (as, client, body, headers) => {
    const credential = source.current()
    if (!credential) throw new NoCredentialError()
    return authOf(credential, traits, tokenEndpoint)(as, client, body, headers)
  }

const authOf = (credential: Credential, traits: ProfileTraits, tokenEndpoint: URL): ClientAuth => {
  const audience = traits.assertionAudience === 'token-endpoint' ? tokenEndpoint.href : undefined
  switch (credential.kind) {
    case 'secret':
      return credential.method === 'client_secret_basic'
        ? ClientSecretBasic(credential.secret.reveal())
        : ClientSecretPost(credential.secret.reveal())
    case 'certificate':
      return assertionAuth(
        credential,
        traits.assertionKey === 'kid' ? { kid: credential.thumbprint } : { 'x5t#S256': credential.thumbprint },
        audience,
      )
    case 'jwk':
      return assertionAuth(credential, { kid: credential.kid }, audience)
    default:
      return assertNever(credential)
  }
}

const IMPORT: Readonly<Record<AssertionAlgorithm, Parameters<CertificateCredential['privateKey']['toCryptoKey']>[0]>> = {
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
}
/** One import per key object, kept as long as that is. */
const imported = new WeakMap<CertificateCredential['privateKey'], webcrypto.CryptoKey>()

/**
 * RFC 7523 §3: one audience as a string, a fresh `jti` and 60 s of life each time (both openid-client's defaults).
 * @param name how the header names the key
 * @param audience undefined: the issuer
 */
const assertionAuth = (
  { privateKey, algorithm }: CertificateCredential | JwkCredential,
  name: Readonly<Record<string, string>>,
  audience: string | undefined,
): ClientAuth => {
  let key = imported.get(privateKey)
  if (!key) {
    key = privateKey.toCryptoKey(IMPORT[algorithm], false, ['sign'])
    imported.set(privateKey, key)
  }
  return PrivateKeyJwt(key, {
    [modifyAssertion]: (header, payload) => {
      header['typ'] = 'JWT'
      header['alg'] = algorithm // openid-client says Ed25519 (RFC 9864), which few providers know yet
      for (const [member, value] of Object.entries(name)) header[member] = value
      if (audience !== undefined) payload['aud'] = audience
    },
  })
}
