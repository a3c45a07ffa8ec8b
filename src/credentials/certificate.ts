import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { CertificateCredential } from '../domain/credential.ts'
import { instant } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import { algorithmOf } from './private-key.ts'

/** Why a pair is not used; a closed set, for logs. */
export type PairFault =
  | 'certificate-unreadable'
  | 'key-unreadable'
  | 'key-mismatch'
  | 'key-weak'
  | 'key-unsupported'
  | 'not-yet-valid'
  | 'expired'

export type Pair =
  | { readonly kind: 'usable'; readonly credential: CertificateCredential }
  | { readonly kind: 'unusable'; readonly fault: PairFault }

const unusable = (fault: PairFault): Pair => ({ kind: 'unusable', fault })

/** A certificate and its private key as read from a source, judged at `now`. Half-written files come out as unreadable or mismatched. */
export const judgePair = (certificatePem: string, keyPem: string, file: string, now: Instant): Pair => {
  const certificate = readCertificate(certificatePem)
  if (!certificate) return unusable('certificate-unreadable')
  const privateKey = readPrivateKey(keyPem)
  if (!privateKey) return unusable('key-unreadable')
  if (!certificate.checkPrivateKey(privateKey)) return unusable('key-mismatch')
  const algorithm = algorithmOf(privateKey)
  if (algorithm === 'weak') return unusable('key-weak')
  if (algorithm === 'unsupported') return unusable('key-unsupported')
  const notBefore = instant(certificate.validFromDate.getTime())
  const notAfter = instant(certificate.validToDate.getTime())
  if (now < notBefore) return unusable('not-yet-valid')
  if (now >= notAfter) return unusable('expired')
  const hash = (algorithm: 'sha1' | 'sha256'): string => createHash(algorithm).update(certificate.raw).digest('base64url')
  const chain = chainOf(certificatePem)
  const thumbprints = { thumbprint: hash('sha256'), sha1Thumbprint: hash('sha1') }
  return { kind: 'usable', credential: { kind: 'certificate', privateKey, algorithm, ...thumbprints, chain, notBefore, notAfter, file } }
}

/** Of several usable pairs the newest: latest start, then latest end. */
export const newest = (credentials: readonly CertificateCredential[]): CertificateCredential | undefined =>
  credentials.toSorted((a, b) => b.notBefore - a.notBefore || b.notAfter - a.notAfter || a.thumbprint.localeCompare(b.thumbprint))[0]

// What Node says about a broken PEM can quote it: the reason stops here.
const readCertificate = (pem: string): X509Certificate | undefined => {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

const readPrivateKey = (pem: string): KeyObject | undefined => {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g
const CHAIN_MAX = 8
const chainOf = (pem: string): readonly string[] =>
  [...pem.matchAll(BLOCK)].slice(0, CHAIN_MAX).map(([, base64 = '']) => base64.replaceAll(/\s/g, ''))
