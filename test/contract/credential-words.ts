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
      ['invented', () => board.put(`accepted.${id('a')}`, `1.${now}.${'A'.repeat(22)}.`, minutes(1), false).then(() => undefined)],
      ['without a seal', () => board.put(`accepted.${id('a')}`, `1.${now}..`, minutes(1), false).then(() => undefined)],
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
      [
        'given another text',
        () =>
          moved(
            (field) => field,
            (value) => `${value}e30`,
          ),
      ],
      ['not even text of ours', () => board.put('accepted', '\u0000{}', minutes(1), false).then(() => undefined)],
    ])('a word that was %s is not heard', async (_name, forge) => {
      await forge()
      expect((await fieldsOf()).size).toBe(1)
      expect(await wordsOf().heard()).toEqual([])
    })
    const moved = async (field: (old: string) => string, value = (old: string): string => old): Promise<void> => {
      await wordsOf().say({ kind: 'accepted', id: id('x'), at: now })
      for (const [name, text] of await fieldsOf()) {
        await board.drop([name])
        await board.put(field(name), value(text), minutes(1), false)
      }
    }

    it('a word that was overheard and said again later is not heard: it carries its moment', async () => {
      await wordsOf().say({ kind: 'accepted', id: id('a'), at: now })
      const overheard = [...(await fieldsOf())]
      const later = wordsOf({ clock: manualClock(after(now, minutes(16))) })
      expect(await later.heard()).toEqual([])
      for (const [field, value] of overheard) await board.put(field, value, minutes(1), false)
      expect(await later.heard()).toEqual([])
    })

    let made = 0
    // Two secrets, so that no keys have to be made; `old` came first.
    const one = (name: string): Loaded => ({
      id: id(name),
      credential: { kind: 'secret', secret: Secret.of('client-secret', name), method: 'client_secret_post' },
      file: name,
      notBefore: undefined,
      notAfter: undefined,
    })
    const replica = (...names: readonly string[]) => replicaAt(world.board(), ...names)
    const replicaAt = async (place: CredentialBoard | Promise<CredentialBoard>, ...names: readonly string[]) => {
      const files = new Set(names)
      const clock = manualClock(now)
      const source: Source = {
        setting: 'client_secret_file',
        place: 'x',
        isStaged: true,
        look: async () => ({ kind: 'seen', loaded: [...files].map(one), faults: [] }),
      }
      const own = await place
      const test = await credentialSet([source], { clock, board: own, scope: SCOPE, replica: `replica-${(made += 1)}` })
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
      for (const { set } of [a, b, c]) await set.stop()
    })

    it('a withdrawal reaches every replica, also one that starts afterwards', async () => {
      const [a, b] = [await replica('old', 'new'), await replica('old', 'new')]
      for (const { set } of [a, b]) set.start(undefined)
      const [active] = a.set.overview().credentials.filter(({ state }) => state === 'active')
      expect(await a.set.withdraw(active?.id ?? id('none'), false)).toMatchObject({ outcome: 'done' })
      expect(a.first()).not.toBe(active?.file)
      await expect.poll(async () => (await b.listens(), b.first()), { timeout: 10_000 }).toBe(a.first())
      const late = await replica('old', 'new')
      late.set.start(undefined)
      await expect.poll(async () => (await late.listens(), late.set.fallbacks().length), { timeout: 10_000 }).toBe(0)
      expect(late.first()).toBe(a.first())
      expect(await late.set.withdraw(id(late.first()), false)).toBe('last-usable')
      for (const { set } of [a, b, late]) await set.stop()
    })

    /** Its clock stands still, so that nobody looks who was not told. */
    const started = async (place = world.board()) => {
      const one = await replicaAt(place, 'old', 'new')
      one.set.start(undefined)
      await expect.poll(() => one.set.isReady()).toBe(true)
      return one
    }
    const activeOf = (one: Awaited<ReturnType<typeof started>>): CredentialId =>
      one.set.overview().credentials.find(({ state }) => state === 'active')?.id ?? id('none')
    const stop = (all: readonly Awaited<ReturnType<typeof started>>[]) => Promise.all(all.map(({ set }) => set.stop()))

    it.each(['withdraw', 'promote'] as const)(
      'an order to %s is followed by every replica before the command returns, and nobody waits for the next look',
      async (what) => {
        const all = [await started(), await started(), await started()] as const
        const [a] = all
        const active = activeOf(a)
        const other = a.set.overview().credentials.find((one) => one.id !== active)?.id ?? id('none')
        const ordered = what === 'withdraw' ? a.set.withdraw(active, false) : a.set.promote(other)
        expect(await ordered).toEqual({ outcome: 'done', replicas: 3, missing: [] })
        expect(all.map(activeOf)).toEqual([other, other, other])
        if (what === 'withdraw') expect(all.map(({ set }) => set.fallbacks())).toEqual([[], [], []])
        await stop(all)
      },
    )

    it('an order reaches a replica whose channel is down by its next look, and waits for that', async () => {
      const deaf: CredentialBoard = { ...(await world.board()), onTold: () => undefined }
      const [a, b] = [await started(), await started(Promise.resolve(deaf))]
      const active = activeOf(a)
      let answer: unknown
      const ordered = a.set.withdraw(active, false).then((given) => (answer = given))
      await expect.poll(async () => [...(await fieldsOf()).keys()]).toContain(`withdrawn.${active}`)
      await settle()
      expect([activeOf(a) === active, activeOf(b) === active, answer]).toEqual([false, true, undefined])
      await expect.poll(async () => (await b.listens(), activeOf(b) === active), { timeout: 10_000 }).toBe(false)
      await ordered
      expect(answer).toEqual({ outcome: 'done', replicas: 2, missing: [] })
      await stop([a, b])
    })

    it('an order says who has not confirmed it; a replica that has stopped is waited for no more', async () => {
      const dead: CredentialBoard = { ...(await world.board()), onTold: () => undefined }
      const [a, b] = [await started(), await started(Promise.resolve(dead))]
      const [active] = [activeOf(a)]
      let isOver = false
      const ordered = a.set.withdraw(active, false).finally(() => (isOver = true))
      await expect.poll(async () => (await a.clock.advance(1000), isOver), { timeout: 10_000 }).toBe(true)
      expect(await ordered).toEqual({ outcome: 'unconfirmed', replicas: 2, missing: [`replica-${made}`] })
      await b.set.stop()
      expect(await a.set.promote(active)).toEqual({ outcome: 'done', replicas: 1, missing: [] })
      await stop([a])
    })

    it('a flood of forged announcements is a look or two, and what they announce changes nothing', async () => {
      let looks = 0
      const own = await world.board()
      const counted: CredentialBoard = { ...own, read: () => ((looks += 1), own.read()) }
      const [a, b] = [await started(Promise.resolve(counted)), await started()]
      const active = activeOf(a)
      looks = 0
      const kinds = ['withdrawn', 'promoted', 'accepted', 'follows', 'invented']
      await Promise.all(
        Array.from({ length: 500 }, (_none, n) =>
          board.put(`${kinds[n % kinds.length]}.${active}`, `1.${now}.${'A'.repeat(22)}.`, minutes(1), true),
        ),
      )
      await expect.poll(() => looks).toBe(1)
      await a.clock.advance(1000)
      await expect.poll(() => looks).toBeGreaterThan(1)
      expect(looks).toBeLessThanOrEqual(3)
      expect([activeOf(a), activeOf(b)]).toEqual([active, active])
      // One that is true still comes through, as soon as they have rested from the flood.
      let answer: unknown
      const ordered = b.set.withdraw(active, false).then((given) => (answer = given))
      await expect.poll(async () => (await a.clock.advance(200), await b.clock.advance(200), answer)).toMatchObject({ outcome: 'done' })
      await ordered
      expect(activeOf(a)).not.toBe(active)
      await stop([a, b])
    })

    it('a forged or replayed acceptance changes nothing', async () => {
      const a = await replica('old')
      a.set.start(undefined)
      await a.add('new')
      await board.put(`accepted.${id('new')}`, `1.${a.clock.now()}.${'A'.repeat(22)}.`, minutes(1), false)
      await wordsOf({ sign: nameUnder('stolen from elsewhere') }).say({ kind: 'accepted', id: id('new'), at: a.clock.now() })
      await wordsOf().say({ kind: 'accepted', id: id('new'), at: after(a.clock.now(), millis(-15 * 60_000)) })
      await a.listens()
      expect(a.first()).toBe('old')
      // The same, sealed and fresh, does: the replica did listen.
      await wordsOf().say({ kind: 'accepted', id: id('new'), at: a.clock.now() })
      await expect.poll(async () => (await a.listens(), a.first()), { timeout: 10_000 }).toBe('new')
      await a.set.stop()
    })
  })
}
