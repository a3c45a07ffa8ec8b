import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createWords } from '../../src/credentials/words.ts'
import type { Words } from '../../src/credentials/words.ts'
import type { Loaded, Source } from '../../src/credentials/loaded.ts'
import type { CredentialBoard, CredentialId } from '../../src/domain/credential.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, millis, minutes, systemClock } from '../../src/kernel/time.ts'
import type { Clock } from '../../src/kernel/time.ts'
import { credentialSet, digestName, nameUnder } from '../harness/credential-set.ts'
import { manualClock, settle } from '../harness/clock.ts'

export interface BoardWorld {
  /** As one more replica sees it. */
  board(): Promise<CredentialBoard>
  /** Keys without an end, if the board has keys. */
  endless(): Promise<readonly string[]>
  close(): Promise<void>
}

const id = (name: string): CredentialId => name.padEnd(43, '0') as CredentialId
const SCOPE = ['default', 'default', 'https://id.example', 'gateway']

/** What replicas tell each other of client credentials, over every store. */
export const credentialWordsContract = (name: string, open: () => Promise<BoardWorld>): void => {
  describe(`words about credentials (${name})`, () => {
    let world: BoardWorld
    let board: CredentialBoard
    beforeEach(async () => {
      world = await open()
      board = await world.board()
    })
    afterEach(() => world.close())
    const now = instant(Date.now())
    const wordsOf = (over: { sign?: typeof digestName; scope?: readonly string[]; clock?: Clock; board?: CredentialBoard } = {}): Words =>
      createWords({ board, sign: digestName, scope: SCOPE, clock: systemClock, ...over })
    const fieldsOf = async (): Promise<ReadonlyMap<string, string>> => {
      const read = await board.read()
      if (read === 'unavailable') throw new Error(read)
      return read
    }

    it('what one replica says the others hear, with its moment and its text; the later over the earlier', async () => {
      const others = wordsOf({ board: await world.board() })
      for (const at of [now - 2000, now - 1000]) await wordsOf().say({ kind: 'accepted', id: id('a'), at: instant(at) })
      await wordsOf().say({ kind: 'published', id: id('b'), at: now, text: '{"kty":"EC"}' })
      const heard = await others.heard()
      expect(heard === 'unavailable' ? heard : heard.toSorted((x, y) => x.at - y.at)).toEqual([
        { kind: 'accepted', id: id('a'), at: now - 1000 },
        { kind: 'published', id: id('b'), at: now, text: '{"kty":"EC"}' },
      ])
      expect(await world.endless()).toEqual([])
    })

    it.each<[string, () => Promise<void>]>([
      ['invented', () => board.put(`accepted.${id('a')}`, `1.${now}.${'A'.repeat(22)}.`, minutes(1)).then(() => undefined)],
      ['without a seal', () => board.put(`accepted.${id('a')}`, `1.${now}..`, minutes(1)).then(() => undefined)],
      [
        'said under another index key',
        () =>
          wordsOf({ sign: nameUnder('another') })
            .say({ kind: 'accepted', id: id('a') })
            .then(() => undefined),
      ],
      [
        'said of another client',
        () =>
          wordsOf({ scope: [...SCOPE.slice(0, 3), 'other'] })
            .say({ kind: 'accepted', id: id('a') })
            .then(() => undefined),
      ],
      ['moved to another credential', () => moved((field) => field.replace(id('x'), id('a')))],
      ['moved to another kind', () => moved((field) => field.replace('accepted', 'promoted'))],
      [
        'made younger',
        () =>
          moved(
            (field) => field,
            (value) => value.replace(/^1\.(\d+)/, (_all, at: string) => `1.${Number(at) + 5}`),
          ),
      ],
      ['not even text of ours', () => board.put('accepted', '\u0000{}', minutes(1)).then(() => undefined)],
    ])('a word that was %s is not heard', async (_name, forge) => {
      await forge()
      expect(((await wordsOf().heard()) as readonly { id: string }[]).filter((word) => word.id !== id('x'))).toEqual([])
    })
    const moved = async (field: (old: string) => string, value = (old: string): string => old): Promise<void> => {
      await wordsOf().say({ kind: 'accepted', id: id('x'), at: now })
      for (const [name, text] of await fieldsOf()) {
        await board.drop([name])
        await board.put(field(name), value(text), minutes(1))
      }
    }

    it('a word that was overheard and said again later is not heard: it carries its moment', async () => {
      await wordsOf().say({ kind: 'accepted', id: id('a'), at: now })
      const overheard = [...(await fieldsOf())]
      const later = wordsOf({ clock: manualClock(after(now, minutes(16))) })
      expect(await later.heard()).toEqual([])
      for (const [field, value] of overheard) await board.put(field, value, minutes(1))
      expect(await later.heard()).toEqual([])
    })

    // Two secrets, so that no keys have to be made; `old` came first.
    const one = (name: string): Loaded => ({
      id: id(name),
      credential: { kind: 'secret', secret: Secret.of('client-secret', name), method: 'client_secret_post' },
      file: name,
      notBefore: undefined,
      notAfter: undefined,
    })
    const replica = async (...names: readonly string[]) => {
      const files = new Set(names)
      const clock = manualClock(now)
      const source: Source = {
        setting: 'client_secret_file',
        place: 'x',
        isStaged: true,
        look: async () => ({ kind: 'seen', loaded: [...files].map(one), faults: [] }),
      }
      const own = await world.board()
      const test = await credentialSet([source], { clock, board: own, scope: SCOPE })
      const add = async (name: string): Promise<void> => {
        files.add(name)
        await clock.advance(1000)
        await test.set.reload()
      }
      const first = (): string => {
        const credential = test.set.current()
        return credential?.kind === 'secret' ? credential.secret.reveal() : 'none'
      }
      /** Until it has listened again. */
      const listens = async (): Promise<void> => {
        for (let turn = 0; turn < 6; turn += 1) {
          await clock.advance(600)
          await own.read()
          await settle()
        }
      }
      return { ...test, add, first, listens, clock }
    }

    it('a credential that one replica has proven is used by the others that have it; those that do not have it keep working', async () => {
      const [a, b, c] = [await replica('old'), await replica('old'), await replica('old')]
      for (const { set } of [a, b, c]) set.start(undefined)
      await Promise.all([a.add('new'), b.add('new')])
      const proven = a.set.fallbacks()[0]
      expect([a.first(), b.first(), proven !== undefined]).toEqual(['old', 'old', true])
      for (let n = 0; n < 3; n += 1) {
        if (proven) a.set.report(proven, { kind: 'accepted' })
        await a.clock.advance(minutes(1))
      }
      expect(a.first()).toBe('new')
      await b.clock.advance(minutes(3))
      await c.clock.advance(minutes(3))
      await expect.poll(async () => (await b.listens(), b.first()), { timeout: 10_000 }).toBe('new')
      await c.listens()
      expect(c.first()).toBe('old')
      for (const { set } of [a, b, c]) set.stop()
    })

    it('a withdrawal reaches every replica, also one that starts afterwards', async () => {
      const [a, b] = [await replica('old', 'new'), await replica('old', 'new')]
      for (const { set } of [a, b]) set.start(undefined)
      const [active] = a.set.overview().credentials.filter(({ state }) => state === 'active')
      expect(await a.set.withdraw(active?.id ?? id('none'), false)).toBe('done')
      expect(a.first()).not.toBe(active?.file)
      await expect.poll(async () => (await b.listens(), b.first()), { timeout: 10_000 }).toBe(a.first())
      const late = await replica('old', 'new')
      late.set.start(undefined)
      await expect.poll(async () => (await late.listens(), late.set.fallbacks().length), { timeout: 10_000 }).toBe(0)
      expect(late.first()).toBe(a.first())
      expect(await late.set.withdraw(id(late.first()), false)).toBe('last-usable')
      for (const { set } of [a, b, late]) set.stop()
    })

    it('a forged or replayed acceptance changes nothing', async () => {
      const a = await replica('old')
      a.set.start(undefined)
      await a.add('new')
      await board.put(`accepted.${id('new')}`, `1.${a.clock.now()}.${'A'.repeat(22)}.`, minutes(1))
      await wordsOf({ sign: nameUnder('stolen from elsewhere') }).say({ kind: 'accepted', id: id('new'), at: a.clock.now() })
      await wordsOf().say({ kind: 'accepted', id: id('new'), at: after(a.clock.now(), millis(-15 * 60_000)) })
      await a.listens()
      expect(a.first()).toBe('old')
      // The same, sealed and fresh, does: the replica did listen.
      await wordsOf().say({ kind: 'accepted', id: id('new'), at: a.clock.now() })
      await expect.poll(async () => (await a.listens(), a.first()), { timeout: 10_000 }).toBe('new')
      a.set.stop()
    })
  })
}
