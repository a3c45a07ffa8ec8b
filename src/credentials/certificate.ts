import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import type { CertificateCredential } from '../domain/credential.ts'
import { isCutShort } from '../kernel/pem.ts'
import { instant } from '../kernel/time.ts'
import type { Instant } from '../kernel/time.ts'
import type { Fault } from './faults.ts'
import { algorithmOf } from './private-key.ts'

export type Pair =
  | { readonly kind: 'usable'; readonly credential: CertificateCredential }
  | { readonly kind: 'unusable'; readonly fault: Fault }

const unusable = (fault: Fault): Pair => ({ kind: 'unusable', fault })

/** A certificate and its private key as read from a source. Half-written files, half a chain among them, come out as unreadable or mismatched. Dates are not looked at. */
export const readPair = (certificatePem: string, keyPem: string, file: string, passphrase?: string): Pair => {
  const certificate = readCertificate(certificatePem)
  if (!certificate) return unusable(isPkcs12(certificatePem, file) ? 'pkcs12' : 'certificate-unreadable')
  const privateKey = readPrivateKey(keyPem, passphrase)
  if (typeof privateKey === 'string') return unusable(privateKey)
  if (!certificate.checkPrivateKey(privateKey)) return unusable('key-mismatch')
  const algorithm = algorithmOf(privateKey)
  if (algorithm === 'weak') return unusable('key-weak')
  if (algorithm === 'unsupported') return unusable('key-unsupported')
  if (isWeaklySigned(certificate)) return unusable('certificate-weak')
  const hash = (name: 'sha1' | 'sha256'): string => createHash(name).update(certificate.raw).digest('base64url')
  return {
    kind: 'usable',
    credential: {
      kind: 'certificate',
      privateKey,
      algorithm,
      thumbprint: hash('sha256'),
      sha1Thumbprint: hash('sha1'),
      chain: chainOf(certificatePem),
      notBefore: instant(certificate.validFromDate.getTime()),
      notAfter: instant(certificate.validToDate.getTime()),
      file,
    },
  }
}

/** As `readPair`, and its dates hold at `now`. */
export const judgePair = (certificatePem: string, keyPem: string, file: string, now: Instant): Pair => {
  const pair = readPair(certificatePem, keyPem, file)
  if (pair.kind === 'unusable') return pair
  if (now < pair.credential.notBefore) return unusable('not-yet-valid')
  return now >= pair.credential.notAfter ? unusable('expired') : pair
}

const BLOCK = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g
const CHAIN_MAX = 8
const chainOf = (pem: string): readonly string[] =>
  [...pem.matchAll(BLOCK)].slice(0, CHAIN_MAX).map(([, base64 = '']) => base64.replaceAll(/\s/g, ''))

// What Node says about a broken PEM can quote it: the reason stops here.
const readCertificate = (pem: string): X509Certificate | undefined => {
  try {
    return isCutShort(pem) ? undefined : new X509Certificate(pem)
  } catch {
    return undefined
  }
}

/** By its name, or as DER that begins a sequence: what neither X.509 nor PEM could be read from. */
const isPkcs12 = (text: string, file: string): boolean =>
  /\.(p12|pfx)$/i.test(file) || (text.startsWith('0') && !text.includes('-----BEGIN') && text.includes('\u0002\u0001\u0003'))

const readPrivateKey = (pem: string, passphrase: string | undefined): KeyObject | Fault => {
  const isEncrypted = pem.includes('BEGIN ENCRYPTED PRIVATE KEY') || /^Proc-Type: 4,ENCRYPTED/m.test(pem)
  if (isEncrypted && passphrase === undefined) return 'key-encrypted'
  try {
    return createPrivateKey(isEncrypted && passphrase !== undefined ? { key: pem, passphrase } : pem)
  } catch {
    // Cut off in the middle it is neither; with its last line there it is the passphrase.
    return isEncrypted && /-----END [A-Z ]*PRIVATE KEY-----/.test(pem) ? 'passphrase-wrong' : 'key-unreadable'
  }
}

/** Node ≥ 24.9 says it; ASVS 5.0 §11.4.1. */
const isWeaklySigned = (certificate: X509Certificate): boolean => {
  const algorithm: unknown = Reflect.get(certificate, 'signatureAlgorithm')
  return typeof algorithm === 'string' && /md5|sha1(?!\d)|sha-1/i.test(algorithm)
}
