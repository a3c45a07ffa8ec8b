import { createHash, createPublicKey, generateKeyPair, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { Instant, Millis } from '../kernel/time.ts'
import { after } from '../kernel/time.ts'

/** Kinds of key that providers take for client assertions: RSA of 2048 bits everywhere, P-256 where they say so. */
export type KeyKind = 'rsa' | 'ec'

/** The private key stays where it was made. */
export const newKey = async (kind: KeyKind): Promise<KeyObject> => {
  const make = promisify(generateKeyPair)
  const pair = kind === 'rsa' ? await make('rsa', { modulusLength: 2048 }) : await make('ec', { namedCurve: 'P-256' })
  return pair.privateKey
}

/** PKCS#10 (RFC 2986 §4) in PEM: a name and a public key, signed with its private half. No attributes: whoever issues the certificate decides on those. */
export const signingRequest = (key: KeyObject, commonName: string): string => {
  const body = sequence(integer(Buffer.from([0])), nameOf(commonName), publicOf(key), der(0xa0))
  return pem('CERTIFICATE REQUEST', signed(body, key))
}

/**
 * A certificate that vouches for itself (RFC 5280 §4.1), for providers that are given the certificate and trust nobody else about it.
 * @returns PEM
 */
export const selfSignedCertificate = (key: KeyObject, commonName: string, now: Instant, length: Millis): string => {
  const name = nameOf(commonName)
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))), // version 3
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(15)])), // §4.1.2.2: positive, 20 bytes at most
    algorithmOf(key),
    name,
    sequence(time(now), time(after(now, length))),
    name,
    publicOf(key),
    der(0xa3, sequence(basicConstraints, digitalSignature)),
  )
  return pem('CERTIFICATE', signed(body, key))
}

/** Of a certificate in PEM, hexadecimal and upper case, as portals show them. */
export const thumbprintsOf = (certificate: string): { readonly sha1: string; readonly sha256: string } => {
  const raw = Buffer.from(certificate.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  const digest = (algorithm: string): string => createHash(algorithm).update(raw).digest('hex').toUpperCase()
  return { sha1: digest('sha1'), sha256: digest('sha256') }
}

// 1. Written, never parsed: DER (X.690) of what we made ourselves.
const der = (tag: number, ...parts: readonly Buffer[]): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content])
}
const lengthOf = (bytes: number): Buffer =>
  Buffer.from(bytes < 128 ? [bytes] : bytes < 256 ? [0x81, bytes] : [0x82, bytes >> 8, bytes & 255])
const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts)
/** Two's complement: the first bit must not be set. */
const integer = (bytes: Buffer): Buffer => der(0x02, bytes)
const bits = (content: Buffer, unused = 0): Buffer => der(0x03, Buffer.from([unused]), content)
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))
/** §4.1.2.5: two digits of the year until 2049. */
const time = (at: Instant): Buffer => {
  const digits = `${new Date(at).toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return Number(digits.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}

// 2. Their parts.
const nameOf = (commonName: string): Buffer => sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName, 'utf8')))))
const publicOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' })
/** sha256WithRSAEncryption (RFC 4055 §5), ecdsa-with-SHA256 (RFC 5758 §3.2). */
const algorithmOf = (key: KeyObject): Buffer =>
  key.asymmetricKeyType === 'rsa' ? sequence(oid('2a864886f70d01010b'), der(0x05)) : sequence(oid('2a8648ce3d040302'))
const signed = (body: Buffer, key: KeyObject): Buffer => sequence(body, algorithmOf(key), bits(sign('sha256', body, key)))
/** No authority: it signs no certificates. */
const basicConstraints = sequence(oid('551d13'), der(0x01, Buffer.from([0xff])), der(0x04, sequence()))
const digitalSignature = sequence(oid('551d0f'), der(0x01, Buffer.from([0xff])), der(0x04, bits(Buffer.from([0x80]), 7)))

const pem = (label: string, raw: Buffer): string =>
  `-----BEGIN ${label}-----\n${(raw.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`
