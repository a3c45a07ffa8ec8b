import { timingSafeEqual } from 'node:crypto'
import type { CredentialBoard, CredentialId, CredentialWord } from '../domain/credential.ts'
import { between, instant, minutes } from '../kernel/time.ts'
import type { Clock, Millis } from '../kernel/time.ts'
import { FOLLOWER_MS, WORD_MS } from './settings.ts'

export interface WordsDeps {
  readonly board: CredentialBoard
  /** HMAC under the index key, which every replica has and Redis has not. */
  readonly sign: (...parts: readonly string[]) => string
  /** App, provider, issuer, client: a word said elsewhere says nothing here. */
  readonly scope: readonly string[]
  readonly clock: Clock
}

/** What replicas tell each other. Written by anybody who reaches Redis, believed only with our seal and, but for withdrawals, only while fresh. */
export interface Words {
  say(word: Omit<CredentialWord, 'at'> & { readonly at?: CredentialWord['at'] }): Promise<'stored' | 'unavailable'>
  /** Sealed ones only. */
  heard(): Promise<readonly CredentialWord[] | 'unavailable'>
  /** Takes back what this replica said. */
  unsay(kind: CredentialWord['kind'], id: CredentialId): Promise<void>
  /** There may be something new to hear; anybody who reaches Redis can say so. undefined: of any kind. */
  onSaid(listener: (kind: CredentialWord['kind'] | undefined) => void): void
}

const HOUR = 60
/** Outlives every certificate that could be put back. */
const ORDERS_LIE_FOR = minutes(800 * 24 * HOUR)
/** How long each kind lies there; how long it is news is another matter. What takes a withdrawal back lies as long, or that would come into force again. */
const LIES_FOR: Readonly<Record<CredentialWord['kind'], Millis>> = {
  accepted: WORD_MS,
  promoted: ORDERS_LIE_FOR,
  published: minutes(24 * HOUR),
  withdrawn: ORDERS_LIE_FOR,
  follows: FOLLOWER_MS,
}
/** Told to everybody at once; the others are heard when somebody looks. */
const TOLD: ReadonlySet<CredentialWord['kind']> = new Set(['promoted', 'withdrawn', 'follows'])
const KINDS: ReadonlySet<string> = new Set(Object.keys(LIES_FOR))
const FIELD = /^([a-z]{1,16})\.([\w-]{22,60})$/
const VALUE = /^1\.(\d{1,16})\.([\w-]{22})\.([\w-]{0,5000})$/
/** One of each replica, and a few of each credential. */
const WORDS_MAX = 1024

export const createWords = ({ board, sign, scope, clock }: WordsDeps): Words => {
  // Each part after its length (the sealer sees to it): no two words have one seal.
  const sealOf = ({ kind, id, at, text = '' }: CredentialWord): string => sign('credential-word', '1', ...scope, kind, id, String(at), text)

  return {
    say: async (said) => {
      const word: CredentialWord = { at: clock.now(), ...said }
      const text = Buffer.from(word.text ?? '', 'utf8').toString('base64url')
      return board.put(`${word.kind}.${word.id}`, `1.${word.at}.${sealOf(word)}.${text}`, LIES_FOR[word.kind], TOLD.has(word.kind))
    },
    heard: async () => {
      const fields = await board.read()
      if (fields === 'unavailable') return fields
      const words: CredentialWord[] = []
      const over: string[] = []
      for (const [field, value] of [...fields].slice(0, WORDS_MAX)) {
        const word = parse(field, value)
        // Not ours, or sealed under another index key: left alone, it may be somebody's.
        if (!word || !isSame(sealOf(word), VALUE.exec(value)?.[2] ?? '')) continue
        if (between(word.at, clock.now()) > LIES_FOR[word.kind]) over.push(field)
        else words.push(word)
      }
      if (over.length > 0) await board.drop(over)
      return words
    },
    unsay: (kind, id) => board.drop([`${kind}.${id}`]),
    onSaid: (listener) =>
      board.onTold((field) => {
        const kind = FIELD.exec(field ?? '')?.[1]
        if (field === undefined) listener(undefined)
        else if (kind !== undefined && KINDS.has(kind)) listener(kind as CredentialWord['kind'])
      }),
  }
}

const parse = (field: string, value: string): CredentialWord | undefined => {
  const [, kind = '', id = ''] = FIELD.exec(field) ?? []
  const [, at = '', , text = ''] = VALUE.exec(value) ?? []
  if (!KINDS.has(kind) || at === '') return undefined
  const word = { kind: kind as CredentialWord['kind'], id: id as CredentialId, at: instant(Number(at)) }
  return text === '' ? word : { ...word, text: Buffer.from(text, 'base64url').toString('utf8') }
}

const isSame = (a: string, b: string): boolean => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
