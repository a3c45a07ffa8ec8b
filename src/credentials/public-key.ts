import { createPublicKey } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import type { Credential } from '../domain/credential.ts'
import { keyIdOf } from '../kernel/key-id.ts'

/** A public key as a provider fetches it (RFC 7517), for `jwks_uri` at the client. No private member can come along: they are named one by one. */
export type PublicJwk = Readonly<Record<string, string | readonly string[]>>

/** undefined: the credential has no key that a provider could fetch. */
export const publicJwkOf = (credential: Credential): PublicJwk | undefined => {
  switch (credential.kind) {
    case 'certificate':
      // The name that assertions give it (provider/client-auth.ts), and that Keycloak gives the key of a registered certificate.
      return { ...membersOf(credential.privateKey), kid: keyIdOf(credential.privateKey), use: 'sig', 'x5t#S256': credential.thumbprint }
    case 'jwk':
      return { ...membersOf(credential.privateKey), kid: credential.kid, use: 'sig', alg: credential.algorithm }
    case 'tls': {
      // RFC 8705 §2.2.2: a self-signed certificate is registered by a JWK that carries it.
      if (credential.method !== 'self_signed_tls_client_auth') return undefined
      const leaf =
        /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/.exec(credential.certificatePem)?.[1]?.replaceAll(/\s/g, '') ?? ''
      return { ...membersOf(credential.privateKey), kid: credential.thumbprint, use: 'sig', x5c: [leaf] }
    }
    case 'secret':
    case 'federated':
      return undefined
  }
}

const membersOf = (privateKey: Parameters<typeof createPublicKey>[0]): Readonly<Record<string, string>> => {
  const { kty, crv, x, y, n, e } = createPublicKey(privateKey).export({ format: 'jwk' })
  return Object.fromEntries(
    Object.entries({ kty, crv, x, y, n, e }).filter((member): member is [string, string] => member[1] !== undefined),
  )
}

const MEMBERS = new Set(['kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'use', 'alg', 'x5t#S256', 'x5c'])

/** Of another replica's word, sealed by it; still nothing but these members is passed on. */
export const parsePublicJwk = (text: string): PublicJwk | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const members = Object.entries(value as JsonWebKey).filter(([name]) => MEMBERS.has(name))
    return Object.fromEntries(members) as PublicJwk
  } catch {
    return undefined
  }
}
