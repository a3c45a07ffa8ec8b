import type { KeyObject } from 'node:crypto'
import type { Secret } from '../kernel/secret.ts'
import type { Instant } from '../kernel/time.ts'

/** What the gateway proves itself with at the provider. */
export type Credential = CertificateCredential | JwkCredential | SecretCredential

/** RFC 7523 `private_key_jwt` with the key of a certificate that the provider knows. */
export interface CertificateCredential {
  readonly kind: 'certificate'
  readonly privateKey: KeyObject
  readonly algorithm: AssertionAlgorithm
  /** SHA-256 of the DER form, base64url: `x5t#S256`, and the `kid` where a profile wants one. */
  readonly thumbprint: string
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** Name of the certificate's file, for logs. */
  readonly file: string
}

/** RFC 7523 `private_key_jwt` with a key that the provider knows by its name (OpenID Connect Dynamic Client Registration 1.0 §2, `jwks`). */
export interface JwkCredential {
  readonly kind: 'jwk'
  readonly privateKey: KeyObject
  readonly algorithm: AssertionAlgorithm
  /** As the JWK says. */
  readonly kid: string
  /** Of the JWK, for logs. */
  readonly file: string
}

/** RFC 6749 §2.3.1. */
export interface SecretCredential {
  readonly kind: 'secret'
  readonly secret: Secret<'client-secret'>
  readonly method: 'client_secret_basic' | 'client_secret_post'
}

/** Fixed by the key: RSA signs PS256 (RFC 7518 §3.5), P-256 ES256, Ed25519 EdDSA. RS256 only where a JWK says so of itself. */
export type AssertionAlgorithm = 'PS256' | 'ES256' | 'EdDSA' | 'RS256'

/** Asked anew on every call, so that a rotation needs no restart. Never yields a credential that cannot sign. */
export interface CredentialSource {
  /** undefined: nothing usable is there (yet). */
  current(): Credential | undefined
}
