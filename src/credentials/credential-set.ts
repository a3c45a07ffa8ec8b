import type {
  Credential,
  CredentialAdmin,
  CredentialId,
  CredentialOrdered,
  CredentialSource,
  CredentialVerdict,
  CredentialWord,
} from '../domain/credential.ts'
import type { CredentialFacts } from '../domain/profile.ts'
import type { Metrics } from '../domain/metric.ts'
import type { AuditSink } from '../domain/audit-event.ts'
import type { FileLook, FileWatch } from '../kernel/file-watch.ts'
import type { Log } from '../kernel/ports.ts'
import { between, instant } from '../kernel/time.ts'
import type { Clock, Instant } from '../kernel/time.ts'
import { createBeginning } from './beginning.ts'
import { isTroubled, probesDue, tries } from './choice.ts'
import type { Faulty, Loaded, Look, Source } from './loaded.ts'
import { createFollowers } from './followers.ts'
import { hurried } from './hurried.ts'
import { newsOf } from './news.ts'
import type { News } from './news.ts'
import { createPublisher } from './publisher.ts'
import type { PublicJwk } from './public-key.ts'
import { createReporter } from './reporter.ts'
import { lostOrders } from './lost-orders.ts'
import { answered, EMPTY, looked, settled, told } from './rotation.ts'
import type { Rotation, RotationSettings } from './rotation.ts'
import { AHEAD_MAX_MS } from './set-back.ts'
import { HURRIED_EVERY, TURN_EVERY, WORDS_EVERY } from './settings.ts'
import { overviewOf } from './status.ts'
import type { Words } from './words.ts'

/** @param mayBeSent asked right before it is sent: it may have been withdrawn meanwhile */
export type Probe = (credential: Credential, mayBeSent: () => boolean) => Promise<CredentialVerdict>

export interface CredentialSetDeps {
  /** Name of the provider, for metrics. */
  readonly provider: string
  /** In the order of `client_auth`. */
  readonly sources: readonly Source[]
  readonly settings: RotationSettings
  /** Where each kind is registered, in the words of the profile. */
  readonly registeredAt: CredentialFacts['registeredAt']
  readonly words: Words
  /** Looks after the files of all sources. */
  readonly watch: FileWatch
  /** Of this replica, for operators. */
  readonly replica: string
  readonly clock: Clock
  readonly log: Log
  readonly metrics: Metrics
  readonly audit: AuditSink
  /** In [0, 1). */
  readonly random?: (() => number) | undefined
}

/** The gateway's own credentials: which there are, which one is used, and what the provider thinks of each. */
export interface CredentialSet extends Required<CredentialSource>, CredentialAdmin {
  /**
   * From here on others are listened to, and candidates probed.
   * @param probe undefined: there is none at this provider
   * @param mayProbe whether the provider was spoken to at all: a probe must not be what finds out that it is away, and makes people wait for the next try
   */
  start(probe: Probe | undefined, mayProbe?: () => boolean): void
  /** Looks at the files now. */
  reload(): Promise<void>
  /** Something usable is there, what was withdrawn elsewhere is known, and what this replica began with was not all rejected. */
  isReady(): boolean
  /** Tells whoever remembers that nothing was accepted. */
  onNews(listener: (news: News) => void): void
  /** For `client-jwks.json`: current and next keys, also those that only other replicas have. In one order everywhere. */
  publicKeys(): readonly PublicJwk[]
  /** Resolves when the others have been told. */
  stop(): Promise<void>
}

/** Loaded with its first look done, and watched from here on; asks nobody before `start`. */
export const createCredentialSet = async (deps: CredentialSetDeps): Promise<CredentialSet> => {
  const { sources, settings, words, clock, random = Math.random } = deps
  const stopped = new AbortController()
  const held = new Map<CredentialId, Loaded>()
  const ids = new WeakMap<Credential, CredentialId>()
  const probing = new Map<CredentialId, Promise<void>>()
  const listeners = new Set<(news: News) => void>()
  const saidAt = new Map<CredentialId, Instant>()
  const reporter = createReporter(deps)
  const publisher = createPublisher(words, clock)
  const followers = createFollowers({ words, clock, name: deps.replica, signal: stopped.signal })
  let looks: readonly Look[] = sources.map(() => ({ kind: 'unreadable', loaded: [], faults: [] }))
  let state: Rotation = EMPTY
  let probe: Probe | undefined
  let mayProbe = (): boolean => true
  const beginning = createBeginning({
    clock,
    signal: stopped.signal,
    tries: () => tries(state, clock.now()),
    ask: async (id) => probe && probeHeld(id, probe),
  })

  // 1. Every step of the machine goes through here; none awaits, so that two never overlap.
  const step = (next: Rotation): void => {
    const before = state
    state = next
    const left = new Set(state.entries.map(({ id }) => id))
    for (const id of held.keys()) if (!left.has(id)) held.delete(id)
    reporter.stepped(before, state, held, clock.now())
    share()
    beginning.stepped()
    const news = newsOf(before, state)
    if (news) for (const listener of listeners) listener(news)
  }

  /** What the provider said to the active one, while it is news. Only what was seen here: an echo would never end. */
  const share = (): void => {
    const active = state.entries.find(({ phase }) => phase === 'active')
    const said = active && saidAt.get(active.id)
    if (active?.acceptedAt === undefined || between(active.acceptedAt, clock.now()) >= settings.wordMs) return
    if (said !== undefined && Math.abs(between(said, active.acceptedAt)) < settings.wordMs / 3) return
    saidAt.set(active.id, active.acceptedAt)
    const { id, acceptedAt: at } = active
    void words.say({ kind: 'accepted', id, at }).then((done) => done === 'unavailable' && saidAt.delete(id))
  }

  const look = async (): Promise<FileLook> => {
    const before = new Set(held.keys())
    const fresh = await Promise.all(sources.map((source) => source.look()))
    // A folder that cannot be read says nothing of what it held.
    looks = fresh.map((now, i) => (now.kind === 'unreadable' ? { ...now, loaded: looks[i]?.loaded ?? [] } : now))
    const found = looks.flatMap(({ loaded }, source) => loaded.map((one) => ({ ...one, source })))
    for (const one of found.toReversed()) {
      // A request under way reports by the object it began with: `ids` knows that as well, for as long as it is there.
      held.set(one.id, one)
      ids.set(one.credential, one.id)
    }
    // The first place in `client_auth` counts.
    const byId = new Map(found.toReversed().map(({ id, source, notBefore, notAfter }) => [id, { id, source, notBefore, notAfter }]))
    step(looked(state, [...byId.values()], clock.now(), settings))
    const faults = looks.flatMap((one): readonly Faulty[] => one.faults)
    reporter.faults(faults)
    publisher.publish([...held.values()], state)
    probeDue()
    if (found.some(({ id }) => !before.has(id))) return { outcome: 'replaced' }
    return { outcome: faults.length > 0 ? 'kept' : 'unchanged' }
  }

  /** Orders that could not be stored: said again until they are. A withdrawal must not stay here alone. */
  const unsaid = new Map<string, CredentialWord>()
  const say = async (word: CredentialWord): Promise<'stored' | 'unavailable'> => {
    const done = await words.say(word)
    if (done === 'stored') unsaid.delete(`${word.kind} ${word.id}`)
    else unsaid.set(`${word.kind} ${word.id}`, word)
    return done
  }
  const listenOnce = async (): Promise<void> => {
    await followers.present(state)
    for (const word of [...unsaid.values()]) await say(word)
    const heard = await words.heard()
    if (heard === 'unavailable') return
    // Lost by the store: said again, while it is news.
    for (const id of saidAt.keys()) if (!heard.some((word) => word.kind === 'accepted' && word.id === id)) saidAt.delete(id)
    publisher.heard(heard)
    followers.heard(heard)
    step(told(state, heard, clock.now(), settings))
    beginning.heard(probe !== undefined && followers.working(heard).some((id) => !held.has(id)))
    for (const word of lostOrders(state, heard)) unsaid.set(`${word.kind} ${word.id}`, word)
    await followers.present(state)
  }
  let listening = Promise.resolve()
  /** One after the other: what was read first is not to be the last that is believed. */
  const listen = (): Promise<void> => (listening = listening.then(listenOnce, listenOnce))

  const runProbe = async (id: CredentialId, ask: Probe, credential: Credential): Promise<void> => {
    const verdict = await ask(credential, () => !state.withdrawn.has(id)).catch(
      (): CredentialVerdict => ({ kind: 'none', cause: 'failed' }),
    )
    probing.delete(id)
    reporter.probed(verdict)
    step(answered(state, { id, verdict, random: random() }, clock.now(), settings))
  }
  /** One at a time for each. */
  const probeHeld = async (id: CredentialId, ask: Probe): Promise<void> => {
    const one = held.get(id)
    const under = probing.get(id) ?? (one && runProbe(id, ask, one.credential))
    if (under) probing.set(id, under)
    await under
  }

  /** What was withdrawn is not asked for, so that nobody is before the others were listened to. */
  let hasListened = false
  const probeDue = (): void => {
    if (probe && hasListened && mayProbe()) for (const { id } of probesDue(state, clock.now())) void probeHeld(id, probe)
  }

  // 2. Time passes.
  const watch = async (): Promise<void> => {
    let wordsAt = clock.now()
    const due = (at: Instant, every: number): boolean => Math.abs(between(at, clock.now())) >= every
    const turn = async (): Promise<void> => {
      if (!hasListened || due(wordsAt, WORDS_EVERY)) {
        wordsAt = clock.now()
        await listen()
        hasListened = true
      }
      step(settled(state, clock.now(), settings))
      probeDue()
    }
    while (!stopped.signal.aborted) {
      await turn().catch(() => deps.log.error({ provider: deps.provider }, 'looking after client credentials failed'))
      await clock.sleep(TURN_EVERY, stopped.signal)
    }
  }

  const order = async (id: CredentialId, kind: 'promoted' | 'withdrawn'): Promise<CredentialOrdered> => {
    const now = clock.now()
    // After all that was ordered and seen before, also when the clock was set back since.
    const entry = state.entries.find((one) => one.id === id)
    // Of orders to use one the last counts, whichever it is of; what lies further ahead than replicas can be apart is no news to anybody.
    const used = kind === 'promoted' ? [...state.restored.values()].filter((one) => between(now, one) < AHEAD_MAX_MS - 1) : []
    const seen = kind === 'promoted' ? (entry?.rejectedAt ?? 0) : 0
    const before = Math.max(state.withdrawn.get(id) ?? 0, state.restored.get(id) ?? 0, seen, ...used)
    const at = instant(Math.max(now, before + 1))
    const word = { kind, id, at } as const
    step(told(state, [word], now, settings))
    if ((await say(word)) !== 'stored') return { outcome: 'here-only', replicas: 1, missing: [] }
    const { isHeard, replicas, missing } = await followers.followedBy(word)
    return { outcome: isHeard && missing.length === 0 ? 'done' : 'unconfirmed', replicas, missing }
  }

  await look()
  const watched = deps.watch.add('provider.client_auth', look)
  const credentialsNow = (): readonly Credential[] => tries(state, clock.now()).flatMap(({ id }) => held.get(id)?.credential ?? [])
  return {
    current: () => credentialsNow()[0],
    fallbacks: () => credentialsNow().slice(1),
    report: (credential, verdict) => {
      const id = ids.get(credential)
      if (id !== undefined) step(answered(state, { id, verdict, random: random() }, clock.now(), settings))
    },
    start: (ask, may = mayProbe) => {
      // What was withdrawn is not known before the others were listened to once.
      beginning.begin()
      probe = ask
      mayProbe = may
      const listenNow = hurried(listen, HURRIED_EVERY, clock, stopped.signal)
      // An order is followed at once; the look every two seconds is for when the channel is down.
      words.onSaid((kind) => kind !== 'follows' && listenNow())
      // The only way out of the loop is the abort of its sleep.
      watch().catch(() => undefined)
    },
    reload: watched.look,
    isReady: () => beginning.isOver() && tries(state, clock.now()).length > 0,
    overview: () => overviewOf({ state, held, looks, sources, settings, registeredAt: deps.registeredAt, now: clock.now() }),
    verify: async (id) => {
      const one = held.get(id)
      if (!one) return 'unknown'
      return probe
        ? probe(one.credential, () => true).catch(() => ({ kind: 'none', cause: 'failed' }) as const)
        : { kind: 'none', cause: 'no-probe' }
    },
    promote: async (id) => {
      const entry = state.entries.find((one) => one.id === id)
      if (!entry) return 'unknown'
      const now = clock.now()
      if (now < (entry.notBefore ?? now) || (entry.notAfter !== undefined && now >= entry.notAfter)) return 'not-usable'
      return order(id, 'promoted')
    },
    withdraw: async (id, force) => {
      const given = state.entries.find((entry) => entry.id === id)
      if (!given) return 'unknown'
      // Others that the provider rejects help nobody, unless it rejects this one as well.
      const others = tries(state, clock.now()).filter((entry) => entry.id !== id && (isTroubled(given) || !isTroubled(entry)))
      return others.length === 0 && !force ? 'last-usable' : order(id, 'withdrawn')
    },
    onNews: (listener) => void listeners.add(listener),
    publicKeys: () => publisher.keys([...held.values()], state, clock.now()),
    stop: async () => {
      stopped.abort()
      watched.stop()
      await followers.leave()
    },
  }
}
