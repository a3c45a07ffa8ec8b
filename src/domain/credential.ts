import type { KeyObject } from 'node:crypto'
import type { Secret } from '../kernel/secret.ts'
import type { Instant, Millis } from '../kernel/time.ts'

/** What the gateway proves itself with at the provider. */
export type Credential = CertificateCredential | JwkCredential | SecretCredential | FederatedCredential | TlsCredential

/** RFC 7523 `private_key_jwt` with the key of a certificate that the provider knows. */
export interface CertificateCredential {
  readonly kind: 'certificate'
  readonly privateKey: KeyObject
  readonly algorithm: AssertionAlgorithm
  /** SHA-256 of the DER form, base64url: `x5t#S256`. The `kid`, where a profile wants one, is the public key's (kernel/key-id.ts). */
  readonly thumbprint: string
  /** SHA-1 of the DER form, base64url: `x5t`; what portals list certificates by. */
  readonly sha1Thumbprint: string
  /** The certificate and its issuers as the file has them, DER in base64: `x5c` (RFC 7515 §4.1.6). */
  readonly chain: readonly string[]
  readonly notBefore: Instant
  readonly notAfter: Instant
  /** Name of the certificate's file, for logs. */
  readonly file: string
}

/** RFC 7523 §2.2 with an assertion that another issuer signed for us: workload identity. The file is read on every use, for whoever wrote it rotates it. */
export interface FederatedCredential {
  readonly kind: 'federated'
  /** undefined: the file holds nothing that is good now, nor did it when it was last good. */
  readonly read: () => Promise<Secret<'federated-assertion'> | undefined>
  readonly file: string
}

/** RFC 8705 §2.1 (a certificate of a PKI) and §2.2 (self-signed): the connection is the proof, the request names the client only. */
export interface TlsCredential {
  readonly kind: 'tls'
  readonly method: 'tls_client_auth' | 'self_signed_tls_client_auth'
  readonly privateKey: KeyObject
  /** The certificate and its issuers, PEM. */
  readonly certificatePem: string
  readonly thumbprint: string
  readonly notBefore: Instant
  readonly notAfter: Instant
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
  /** What else may be tried in the same request when the provider rejects `current()`, best first; none unless given. */
  fallbacks?(): readonly Credential[]
  /** What a request showed of a credential that `current` or `fallbacks` gave. */
  report?(credential: Credential, verdict: CredentialVerdict): void
}

/** What an answer of the provider says of the credential it came with. */
export type CredentialVerdict =
  /** 200, or a refusal that is only made once the client has proven itself (spec §6). */
  | { readonly kind: 'accepted' }
  /** Client authentication failed; nothing was spent. `code`: as the provider says it, cleaned. */
  | { readonly kind: 'rejected'; readonly code: string }
  /** It says nothing of it: nobody answered, or another credential would have fared the same. */
  | { readonly kind: 'none'; readonly cause: string }

/**
 * Names one credential, the same on all replicas: a certificate's SHA-256 thumbprint, a JWK's RFC 7638 thumbprint, for secrets and federated assertions an
 * HMAC under the index key. 22 to 47 base64url characters; safe to print.
 */
export type CredentialId = string & { readonly __credentialId: true }

/** What replicas tell each other of a credential: that the provider accepted it, and what operators ordered. That it was rejected stays where it happened. */
export interface CredentialWord {
  /** Of `follows`: of the replica that says which orders it follows. */
  readonly id: CredentialId
  readonly kind: 'accepted' | 'promoted' | 'withdrawn' | 'published' | 'follows'
  readonly at: Instant
  /** JSON. Of `published`: the public key. Of `follows`: the replica's name, and the orders. */
  readonly text?: string
}

/** Where the words lie: written under (kind, id), the later over the earlier. Nothing in it is trusted before its seal is checked. */
export interface CredentialBoard {
  /** @param isTold to everybody who listens, at once */
  put(field: string, sealed: string, forMs: Millis, isTold: boolean): Promise<'stored' | 'unavailable'>
  read(): Promise<ReadonlyMap<string, string> | 'unavailable'>
  drop(fields: readonly string[]): Promise<void>
  /** Somebody says that something was put there. It may be a lie, and what is true may go untold: a reason to look, and nothing more. undefined: anything may have been. */
  onTold(listener: (field: string | undefined) => void): void
}

/** What an operator sees of one credential. */
export interface CredentialView {
  readonly id: CredentialId
  readonly kind: Credential['kind']
  /** As sent to the provider: `private_key_jwt`, `client_secret_post` … */
  readonly method: string
  /** The setting of `client_auth` it came from, and its file. */
  readonly setting: string
  readonly file: string
  readonly state: 'candidate' | 'probing' | 'active' | 'retiring' | 'retired' | 'withdrawn'
  readonly since: Instant
  /** From a closed set, and the sentence that goes with it. */
  readonly why: string
  readonly message: string
  /** Of its certificate, hexadecimal and lower case, as portals list them. */
  readonly thumbprints: { readonly sha256: string; readonly sha1: string | undefined } | undefined
  /** The name of a JWK, or of a certificate's public key. */
  readonly kid: string | undefined
  readonly notBefore: Instant | undefined
  readonly notAfter: Instant | undefined
  /** Whole ones; negative once it has ended. */
  readonly daysLeft: number | undefined
  readonly acceptedAt: Instant | undefined
  readonly rejectedAt: Instant | undefined
  /** The provider's code of the last rejection, cleaned. */
  readonly rejection: string | undefined
  readonly nextProbeAt: Instant | undefined
  /** Its files are gone: a restart would leave this replica without it. */
  readonly lostByRestart: boolean
  /** In use, and its source holds one at a time: replace the file, and a restart loses it before the next one is registered. */
  readonly isUnstaged: boolean
  /** What to do about it, for this provider; undefined: nothing. */
  readonly nextStep: string | undefined
}

export interface CredentialOverview {
  /** Something usable is there. */
  readonly ready: boolean
  readonly credentials: readonly CredentialView[]
  /** Files that hold nothing usable, each with its reason. */
  readonly faults: readonly { readonly setting: string; readonly file: string; readonly fault: string; readonly message: string }[]
}

export type CredentialOrdered = CredentialFollowed | 'unknown' | 'not-usable' | 'last-usable'
/** What became of an order. */
export interface CredentialFollowed {
  /** `done`: every replica follows it. `unconfirmed`: it is stored, and not all have said so. `here-only`: the store did not take it; this replica goes on trying. */
  readonly outcome: 'done' | 'unconfirmed' | 'here-only'
  /** How many were heard of within the last half minute, this one included. */
  readonly replicas: number
  /** Those of them that have not said within five seconds that they follow it. */
  readonly missing: readonly string[]
}

/** For operators. */
export interface CredentialAdmin {
  overview(): CredentialOverview
  /** Probes now and changes nothing. */
  verify(id: CredentialId): Promise<CredentialVerdict | 'unknown'>
  promote(id: CredentialId): Promise<CredentialOrdered>
  /** At once, here and everywhere. @param force also the last usable one */
  withdraw(id: CredentialId, force: boolean): Promise<CredentialOrdered>
}
