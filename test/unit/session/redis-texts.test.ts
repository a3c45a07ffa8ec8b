import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { OncePurpose } from '../../../src/domain/session-store.ts'
import type { SessionRef } from '../../../src/domain/session.ts'
import { causeOf } from '../../../src/session/cause-redis.ts'
import type { IndexName } from '../../../src/session/index-names.ts'
import { parseEvent } from '../../../src/session/event-message.ts'
import { redisKeys } from '../../../src/session/keys-redis.ts'

const ref = 'AbCdEfGhIjKlMnOpQrStUv' as SessionRef

describe('a message on the event channel', () => {
  it.each`
    message                                               | change                                         | because
    ${`{"kind":"written","ref":"${ref}","gen":7}`}        | ${{ kind: 'written', ref, gen: 7 }}            | ${'a write'}
    ${`{"kind":"ended","ref":"${ref}","reason":"user"}`}  | ${{ kind: 'ended', ref, reason: 'user' }}      | ${'an end'}
    ${`{"kind":"ended","ref":"${ref}","reason":"newer"}`} | ${{ kind: 'ended', ref, reason: 'provider' }}  | ${'a reason of a later release is still an end'}
    ${`{"kind":"written","ref":"${ref}","gen":"7"}`}      | ${undefined}                                   | ${'a generation is a number'}
    ${`{"kind":"written","ref":"${ref}x","gen":7}`}       | ${undefined}                                   | ${'a ref has 22 characters'}
    ${`{"kind":"ended","ref":"${ref}"}`}                  | ${undefined}                                   | ${'an end has a reason'}
    ${`{"kind":"word","field":"withdrawn.${ref}"}`}       | ${{ kind: 'word', field: `withdrawn.${ref}` }} | ${'a word about a credential'}
    ${`{"kind":"word","field":"withdrawn"}`}              | ${undefined}                                   | ${'a word is about one'}
    ${`{"kind":"word","field":"a.${'b'.repeat(61)}"}`}    | ${undefined}                                   | ${'a name has no more than 60 characters'}
    ${'null'}                                             | ${undefined}                                   | ${'nothing'}
    ${'[1]'}                                              | ${undefined}                                   | ${'not an object of ours'}
    ${'{'}                                                | ${undefined}                                   | ${'not JSON'}
    ${''}                                                 | ${undefined}                                   | ${'empty'}
  `('$message: $because', ({ message, change }: { message: string; change: unknown }) => {
    expect(parseEvent(message)).toEqual(change)
  })
})

describe('keys', () => {
  it('of one session share a slot, and two sessions or apps share none', () => {
    const keys = redisKeys('sallyport', 'default')
    const slots = [keys.record(ref), keys.idle(ref), keys.lease(ref), keys.tombstone(ref)].map((key) => /\{(.+)\}/.exec(key)?.[1])
    expect(new Set(slots)).toEqual(new Set([`default.${ref}`]))
    expect(redisKeys('sallyport', 'other').record(ref)).not.toBe(keys.record(ref))
  })
  it('of an index and its tombstone share a slot', () => {
    const keys = redisKeys('sallyport', 'default')
    const index = { kind: 'provider-session', name: 'n' } as const
    expect([keys.index(index), keys.indexTombstone(index)].map((key) => /\{(.+)\}/.exec(key)?.[1])).toEqual(['default.n', 'default.n'])
  })
  it('stand in docs/storage.md, all of them, and nothing else does', () => {
    const keys = redisKeys('P', 'A')
    const once = { state: true, 'logout-jti': true, revocation: true } as const satisfies Record<OncePurpose, true>
    const indexes = { 'provider-session': true, subject: true } as const satisfies Record<IndexName['kind'], true>
    const written = [
      ...[keys.record(ref), keys.idle(ref), keys.lease(ref), keys.tombstone(ref), keys.sealingKeys, keys.credentials, keys.channel],
      ...(Object.keys(indexes) as IndexName['kind'][]).flatMap((kind) => [
        keys.index({ kind, name: 'x' }),
        keys.indexTombstone({ kind, name: 'x' }),
      ]),
      ...Object.keys(once).map((purpose) => keys.once(purpose, 'x')),
      keys.oneUse('logout-continue', 'x'),
    ]
    const page = readFileSync(new URL('../../../docs/storage.md', import.meta.url), 'utf8')
    const kindOf = (key: string): string => key.split(':')[1] ?? ''
    const told = [...page.matchAll(/^\| `(P:[^`]+)` \|/gm)].map(([, key]) => kindOf(key ?? ''))
    expect([...new Set(told)].sort()).toEqual(written.map(kindOf).sort())
  })
  it.each(['', 'a{b', 'a}b', 'a:b', 'a b', 'a*'])(
    'do not take the prefix %j, which could change the slot or meet another’s keys',
    (prefix) => {
      expect(() => redisKeys(prefix, 'default')).toThrow('key_prefix')
      expect(() => redisKeys('sallyport', prefix)).toThrow('key_prefix')
    },
  )
})

describe('an error of the client', () => {
  const coded = (message: string, code: string): Error => Object.assign(new Error(message), { code })
  /** Redis 6.2 wraps what a command inside a script answers. */
  const inScriptOf6 = (line: number, message: string): Error =>
    new Error(`ERR Error running script (call to f_${'0'.repeat(40)}): @user_script:${line}: @user_script: ${line}: ${message}`)
  it.each`
    error                                                                          | cause
    ${new Error('Command timed out')}                                              | ${'timeout'}
    ${new Error('Connection is closed.')}                                          | ${'closed'}
    ${new Error("Stream isn't writeable and enableOfflineQueue …")}                | ${'closed'}
    ${coded('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED')}                   | ${'closed'}
    ${coded('getaddrinfo ENOTFOUND redis', 'ENOTFOUND')}                           | ${'closed'}
    ${coded('self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT')}             | ${'tls'}
    ${new Error('LOADING Redis is loading the dataset in memory')}                 | ${'loading'}
    ${new Error('READONLY You can’t write against a read only replica.')}          | ${'readonly'}
    ${new Error('NOPERM this user has no permissions')}                            | ${'denied'}
    ${new Error('WRONGPASS invalid username-password pair')}                       | ${'denied'}
    ${new Error('OOM command not allowed')}                                        | ${'memory'}
    ${inScriptOf6(1, '-READONLY You can’t write against a read only replica.')}    | ${'readonly'}
    ${inScriptOf6(17, "-OOM command not allowed when used memory > 'maxmemory'.")} | ${'memory'}
    ${inScriptOf6(4, 'attempt to index a nil value')}                              | ${'other'}
    ${new Error('something with CANARY in it')}                                    | ${'other'}
    ${'a string'}                                                                  | ${'other'}
  `('$error is $cause, and nothing else is said of it', ({ error, cause }) => {
    expect(causeOf(error)).toBe(cause)
  })
})
