import type { Credential, CredentialId } from '../domain/credential.ts'
import type { Instant } from '../kernel/time.ts'
import type { Fault } from './faults.ts'

/** One credential as a source holds it. Its dates are judged where the time is known (rotation.ts). */
export interface Loaded {
  readonly id: CredentialId
  readonly credential: Credential
  /** The file, as in the settings or by its name in the folder. */
  readonly file: string
  readonly notBefore: Instant | undefined
  readonly notAfter: Instant | undefined
}

/** A file that holds nothing usable (yet). */
export interface Faulty {
  readonly file: string
  readonly fault: Fault
}

/** What a look found. `unreadable`: nothing is known, which is not the same as nothing being there. */
export interface Look {
  readonly kind: 'seen' | 'unreadable'
  readonly loaded: readonly Loaded[]
  readonly faults: readonly Faulty[]
}

/** One entry of `client_auth`. */
export interface Source {
  /** The setting it came from. */
  readonly setting: 'certificate_dir' | 'certificate_file' | 'jwk_file' | 'client_secret_file' | 'client_secret' | 'assertion_file'
  /** Its path; empty for what stands in the configuration. */
  readonly place: string
  /** It can hold the next credential beside the one in use. Where it cannot, the one in use lives in memory only once the file was replaced. */
  readonly isStaged: boolean
  /** Never rejects. */
  look(): Promise<Look>
}

/** Judges a text anew only when it changed: a look every few seconds parses no key. */
export const onChange = (judge: (...texts: readonly string[]) => Look): ((...texts: readonly string[]) => Look) => {
  let last: { readonly texts: readonly string[]; readonly look: Look } | undefined
  return (...texts) => {
    if (last && last.texts.length === texts.length && last.texts.every((text, i) => text === texts[i])) return last.look
    const look = judge(...texts)
    last = { texts, look }
    return look
  }
}

export const seen = (loaded: readonly Loaded[], faults: readonly Faulty[] = []): Look => ({ kind: 'seen', loaded, faults })
export const faulty = (file: string, fault: Fault): Look => seen([], [{ file, fault }])
export const unreadable = (file: string, fault: Fault = 'file-unreadable'): Look => ({
  kind: 'unreadable',
  loaded: [],
  faults: [{ file, fault }],
})
