import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** A self-signed certificate made on the spot, so that the tests need neither openssl nor fixtures that expire. */
export interface SelfSigned {
  readonly certificate: string
  readonly key: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** x5t#S256. */
  readonly thumbprint: string
}

export interface SelfSignedOptions {
  readonly kind?: 'rsa' | 'rsa-1024' | 'ec' | 'ec-384' | 'ed25519'
  readonly notBefore?: Date
  readonly notAfter?: Date
  /** `localhost` unless told; it is good for that name whatever its own is. Of several trusted ones with one subject OpenSSL looks at the first only. */
  readonly subject?: string
}

const DAY = 86_400_000

export const selfSigned = (options: SelfSignedOptions = {}): SelfSigned => {
  const {
    kind = 'rsa',
    notBefore = new Date(Date.now() - DAY),
    notAfter = new Date(Date.now() + 30 * DAY),
    subject = 'localhost',
  } = options
  const { publicKey, privateKey } = keyPair(kind)
  const algorithm = SIGNATURES[kind]
  const name = sequence(set(sequence(oid('2.5.4.3'), der(0x0c, Buffer.from(subject)))))
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        sequence(oid('2.5.29.17'), der(0x04, sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1]))))),
      ),
    ),
  )
  const signature = sign(kind === 'ed25519' ? null : 'sha256', body, privateKey)
  const raw = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])))
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${raw.toString('base64').replaceAll(/.{64}(?!$)/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    privateKey,
    publicKey,
    thumbprint: createHash('sha256').update(raw).digest('base64url'),
  }
}

const keyPair = (kind: NonNullable<SelfSignedOptions['kind']>): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } => {
  switch (kind) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 })
    case 'rsa-1024':
      return generateKeyPairSync('rsa', { modulusLength: 1024 })
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
    case 'ec-384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
    case 'ed25519':
      return generateKeyPairSync('ed25519')
  }
}

const der = (tag: number, content: Buffer): Buffer => Buffer.concat([Buffer.from([tag]), length(content.length), content])
const length = (bytes: number): Buffer =>
  bytes < 128 ? Buffer.from([bytes]) : bytes < 256 ? Buffer.from([0x81, bytes]) : Buffer.from([0x82, bytes >> 8, bytes & 255])
const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, Buffer.concat(parts))
const set = (...parts: readonly Buffer[]): Buffer => der(0x31, Buffer.concat(parts))
const integer = (bytes: Buffer): Buffer => der(0x02, bytes)
const time = (date: Date): Buffer => der(0x18, Buffer.from(`${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`))
const oid = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const base128 = (value: number): number[] =>
    value < 128 ? [value] : [...base128(Math.floor(value / 128)).map((byte) => byte | 0x80), value % 128]
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

const NULL = Buffer.from([0x05, 0x00])
const SIGNATURES = {
  rsa: sequence(oid('1.2.840.113549.1.1.11'), NULL),
  'rsa-1024': sequence(oid('1.2.840.113549.1.1.11'), NULL),
  ec: sequence(oid('1.2.840.10045.4.3.2')),
  'ec-384': sequence(oid('1.2.840.10045.4.3.2')),
  ed25519: sequence(oid('1.3.101.112')),
} as const
