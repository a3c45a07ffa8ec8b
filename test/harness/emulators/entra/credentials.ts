import { createHash, type KeyObject, X509Certificate } from 'node:crypto'

/** When the front-ends see a change (E10): all at once, each at a moment of its own, or spread evenly over a time. */
export type Propagation = 'at-once' | { readonly perFrontEndMs: readonly number[] } | { readonly overMs: number }

export interface RegisteredCertificate {
  readonly app: string
  readonly publicKey: KeyObject
  /** base64url SHA-1 of the DER. */
  readonly x5t: string
  readonly x5tS256: string
  readonly validFrom: number
  readonly validTo: number
  revoked: boolean
}

export interface FederatedCredential {
  readonly issuer: string
  readonly subject: string
  readonly audience?: string
  /** Where the emulator fetches the issuer's keys; its discovery document says, unless told. */
  readonly jwksUri?: string
}
export interface RegisteredFederation extends FederatedCredential {
  readonly app: string
}

/** Registered certificates and federations, as seen from each of the front-ends: for a while not all of them agree. */
export interface Credentials {
  addCertificate(app: string, pem: string, propagation?: Propagation): RegisteredCertificate
  removeCertificate(app: string, thumbprint: string, propagation?: Propagation): void
  revokeCertificate(app: string, thumbprint: string): void
  certificates(app: string, frontEnd: number): readonly RegisteredCertificate[]
  addFederation(app: string, federation: FederatedCredential, propagation?: Propagation): void
  federations(app: string, frontEnd: number): readonly RegisteredFederation[]
  /** Whether any federation is registered, seen or not. */
  hasFederation(app: string): boolean
  /** The one that takes the next call: one after the other. Scripted by `serveFrom`. */
  nextFrontEnd(): number
  /** Calls are served by these in turn, from now on; none: all of them in turn. */
  serveFrom(...frontEnds: readonly number[]): void
}

interface Propagated<T> {
  readonly what: T
  readonly from: readonly number[]
  until: readonly number[]
}

export const credentials = (frontEnds: number, now: () => number): Credentials => {
  const certificates: Propagated<RegisteredCertificate>[] = []
  const federations: Propagated<RegisteredFederation>[] = []
  let turn = 0
  let order: readonly number[] = []
  const never = Array.from({ length: frontEnds }, () => Number.POSITIVE_INFINITY)
  const moments = (propagation: Propagation): readonly number[] => {
    const start = now()
    return Array.from({ length: frontEnds }, (_, at) => {
      if (propagation === 'at-once') return start
      if ('perFrontEndMs' in propagation) return start + (propagation.perFrontEndMs[at] ?? 0)
      return start + (propagation.overMs * (at + 1)) / frontEnds
    })
  }
  const seen = <T extends { readonly app: string }>(all: readonly Propagated<T>[], app: string, frontEnd: number): T[] =>
    all
      .filter(({ what, from, until }) => what.app === app && (from[frontEnd] ?? 0) <= now() && now() < (until[frontEnd] ?? 0))
      .map(({ what }) => what)
  const mine = (app: string, thumbprint: string): Propagated<RegisteredCertificate>[] =>
    certificates.filter(({ what }) => what.app === app && (what.x5t === thumbprint || what.x5tS256 === thumbprint))
  return {
    addCertificate: (app, pem, propagation = 'at-once') => {
      const certificate = new X509Certificate(pem)
      const digest = (algorithm: string): string => createHash(algorithm).update(certificate.raw).digest('base64url')
      const what: RegisteredCertificate = {
        app,
        publicKey: certificate.publicKey,
        x5t: digest('sha1'),
        x5tS256: digest('sha256'),
        validFrom: Date.parse(certificate.validFrom),
        validTo: Date.parse(certificate.validTo),
        revoked: false,
      }
      certificates.push({ what, from: moments(propagation), until: never })
      return what
    },
    removeCertificate: (app, thumbprint, propagation = 'at-once') => {
      for (const one of mine(app, thumbprint)) one.until = moments(propagation)
    },
    revokeCertificate: (app, thumbprint) => {
      for (const { what } of mine(app, thumbprint)) what.revoked = true
    },
    certificates: (app, frontEnd) => seen(certificates, app, frontEnd),
    addFederation: (app, federation, propagation = 'at-once') =>
      void federations.push({ what: { ...federation, app }, from: moments(propagation), until: never }),
    federations: (app, frontEnd) => seen(federations, app, frontEnd),
    hasFederation: (app) => federations.some(({ what }) => what.app === app),
    nextFrontEnd: () => {
      const at = turn++
      return order.length > 0 ? (order[at % order.length] ?? 0) : at % frontEnds
    },
    serveFrom: (...chosen) => {
      order = chosen
      turn = 0
    },
  }
}
