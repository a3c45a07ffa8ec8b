import { setTimeout as wait } from 'node:timers/promises'
import type { Random } from '../faults/random.ts'
import type { SelfSigned } from '../self-signed.ts'
import type { RotationProvider, RotationWorld } from './rotation-world.ts'
import { REPLICAS } from './rotation-world.ts'

export interface Turn {
  readonly world: RotationWorld
  /** In use, registered, in every folder as `oldName`. */
  readonly old: SelfSigned
  readonly oldName: string
  /** The name that the next pair gets. */
  readonly name: string
  readonly random: Random
}
/** The pair that is in use afterwards, and its name. */
export interface Turned {
  readonly pair: SelfSigned
  readonly name: string
}
type Order = (turn: Turn) => Promise<Turned>

/** While nobody takes what is there, or nobody is there to take it. What a browser sees then is one of these, and never a sign-out. */
const REJECTED = /^(?:token\.credential-rejected|provider\.unavailable|page-50[0-9]|login\..*)$/
/** The Entra emulator serves the APIs as well. An answer that was on its way is lost, and with it a refresh token that Keycloak takes once only. */
const AWAY = /^(?:provider-refuses|session\.refresh-lost|proxy\.upstream-.*|provider\.unavailable|page-50[0-9]|login\..*)$/

const WAITING = 'waits-for-registration'
/** Each waits for five seconds. */
const WITHDRAWALS_MAX = 8

const fileFirst: Order = async ({ world, name }) => {
  const pair = world.pair()
  world.put(name, pair)
  // Who pulls the document registers it himself, at once: nobody need ever be seen waiting.
  if (world.provider !== 'keycloak-jwks') await world.allSay(pair, WAITING)
  world.registry.register(pair)
  await world.allUse(pair)
  return { pair, name }
}

const registrationFirst: Order = async ({ world, name }) => {
  const pair = world.pair()
  world.registry.register(pair)
  await wait(500)
  world.put(name, pair)
  await world.allUse(pair)
  return { pair, name }
}

/** On the last day: the old one goes at the provider as soon as the new one is there. */
const bothLate: Order = async ({ world, old, name }) => {
  const pair = world.pair()
  world.put(name, pair)
  await world.allSay(pair, WAITING)
  world.registry.register(pair)
  world.registry.remove(old)
  await world.allUse(pair)
  return { pair, name }
}

const oldRemovedTooEarly: Order = async ({ world, old, name }) => {
  const pair = world.pair()
  world.put(name, pair)
  await world.allSay(pair, WAITING)
  world.registry.registerAtOnce(pair)
  world.registry.removeAtOnce(old)
  await world.allUse(pair)
  return { pair, name }
}

const wrongKey: Order = async ({ world, name, random }) => {
  const pair = world.pair()
  world.put(name, { certificate: pair.certificate, key: world.pair().key })
  await until(world, `${name}.crt`, 'key-mismatch')
  if (world.provider === 'entra') world.registry.register(pair)
  // Half of it, as whoever writes files one by one leaves it for a while.
  if (random.int(0, 2) === 0) {
    world.put(name, { certificate: pair.certificate.slice(0, 400), key: pair.key })
    await until(world, `${name}.crt`, 'certificate-unreadable')
  }
  world.put(name, pair)
  if (world.provider === 'keycloak') {
    await world.allSay(pair, WAITING)
    world.registry.register(pair)
  }
  await world.allUse(pair)
  return { pair, name }
}

const expiredNew: Order = async (turn) => {
  const { world, name } = turn
  const over = world.pair({ notAfter: new Date(Date.now() - 60_000) })
  world.put(`${name}-expired`, over)
  await world.allSay(over, 'expired')
  const turned = await fileFirst(turn)
  world.take(`${name}-expired`)
  return turned
}

/** Everybody uses the new one, and it is taken back: at the provider first, or its files first. */
const rollback: Order = async (turn) => {
  const { world, old, oldName, random } = turn
  const { pair, name } = await fileFirst(turn)
  const takesFiles = world.provider === 'keycloak-jwks' || random.int(0, 2) === 0
  if (takesFiles) world.take(name)
  if (world.provider !== 'keycloak-jwks') {
    if (world.provider === 'keycloak') world.registry.registerAtOnce(old)
    world.registry.removeAtOnce(pair)
  }
  await world.allUse(old)
  world.take(name)
  return { pair: old, name: oldName }
}

/** Its key has leaked. Once the command has answered no replica presents it any more, but for what was on its way. */
const withdrawn: Order = async (turn) => {
  const { world, old, oldName, random } = turn
  const { pair, name } = await fileFirst(turn)
  if (world.provider === 'keycloak') world.registry.registerAtOnce(old)
  // One that was killed a moment ago is waited for and named, so that the command is given again: until nobody has heard of it for half a minute.
  const replica = random.int(0, REPLICAS)
  let ordered = await world.withdraw(pair, replica)
  for (let n = 0; n < WITHDRAWALS_MAX && ordered.outcome === 'unconfirmed'; n += 1) ordered = await world.withdraw(pair, replica)
  if (ordered.outcome !== 'done' || ordered.replicas !== REPLICAS) throw new Error(`not everywhere: ${JSON.stringify(ordered)}`)
  await wait(200)
  const before = world.presented(pair)
  await world.load.goesOn()
  if (before === 0 || world.presented(pair) > before) throw new Error('presented after it was withdrawn, or never before')
  world.take(name)
  return { pair: old, name: oldName }
}

const oneReplicaOnly: Order = async ({ world, name, random }) => {
  const pair = world.pair()
  const lucky = random.int(0, REPLICAS)
  const others = [0, 1, 2].filter((at) => at !== lucky)
  world.registry.register(pair)
  world.put(name, pair, lucky)
  await world.allUse(pair, lucky)
  await world.load.goesOn()
  world.put(name, pair, ...others)
  await world.allUse(pair)
  return { pair, name }
}

const providerAway: Order = async ({ world, name }) => {
  const pair = world.pair()
  await world.load.outage(AWAY, async () => {
    await world.registry.away()
    world.put(name, pair)
    await world.allSay(pair, 'waits-for-provider')
    if (world.provider === 'entra') world.registry.register(pair)
    await world.registry.back()
  })
  if (world.provider === 'keycloak') {
    await world.allSay(pair, WAITING)
    world.registry.register(pair)
  }
  await world.allUse(pair)
  return { pair, name }
}

const nothingAccepted: Order = async ({ world, old, name }) => {
  const pair = world.pair()
  await world.load.outage(REJECTED, async () => {
    if (world.provider === 'keycloak') world.registry.registerAtOnce(pair)
    else world.registry.removeAtOnce(old)
    await world.allRejected()
    world.put(name, pair)
    if (world.provider === 'entra') world.registry.registerAtOnce(pair)
    await world.allUse(pair)
  })
  return { pair, name }
}

/** Somewhere between the file and the promotion; it starts again with both pairs at hand. */
const killed: Order = async ({ world, name, random }) => {
  const pair = world.pair()
  const victim = random.int(0, REPLICAS)
  const isFirst = random.int(0, 2) === 0
  world.put(name, pair)
  // Where there is one place, a registration before the file is everywhere would leave some replica with nothing that is taken.
  if (world.provider === 'keycloak' || (isFirst && world.provider === 'entra')) await world.allSay(pair, WAITING)
  world.registry.register(pair)
  await wait(random.int(0, 1_500))
  await world.kill(victim)
  await world.restart(victim)
  await world.allUse(pair)
  return { pair, name }
}

const until = async (world: RotationWorld, file: string, fault: string): Promise<void> => {
  for (let n = 0; n < 300; n += 1, await wait(100))
    if ((await world.status()).every(({ faults }) => faults.some((one) => one.file.endsWith(file) && one.fault === fault))) return
  throw new Error(`not every replica says ${fault} of ${file}`)
}

const AT_ENTRA = {
  'file first': fileFirst,
  'registration first': registrationFirst,
  'both late': bothLate,
  'old removed too early': oldRemovedTooEarly,
  'wrong key': wrongKey,
  'expired new': expiredNew,
  rollback,
  withdrawn,
  'one replica only': oneReplicaOnly,
  'provider away': providerAway,
  'nothing accepted': nothingAccepted,
  'killed and started again': killed,
} as const satisfies Readonly<Record<string, Order>>
export type OrderName = keyof typeof AT_ENTRA

/** Keycloak has place for one certificate: to register the next is to remove the one before, and before its file is there it is too early for anybody. */
const ONE_PLACE: readonly OrderName[] = [
  'file first',
  'old removed too early',
  'wrong key',
  'expired new',
  'rollback',
  'withdrawn',
  'provider away',
  'nothing accepted',
  'killed and started again',
]
/** Whoever pulls the document needs no registration: it is the file that comes first. */
const PULLED: readonly OrderName[] = [
  'registration first',
  'wrong key',
  'rollback',
  'one replica only',
  'provider away',
  'killed and started again',
]
export const ORDERS_OF: Readonly<Record<RotationProvider, readonly OrderName[]>> = {
  entra: Object.keys(AT_ENTRA) as OrderName[],
  keycloak: ONE_PLACE,
  'keycloak-jwks': PULLED,
}

/** One rotation, and the tidying up after it: the pair before is taken away, at the provider and here. */
export const rotate = async (order: OrderName, turn: Turn): Promise<Turned> => {
  const { world, old, oldName } = turn
  const turned = await AT_ENTRA[order](turn)
  if (turned.pair !== old) {
    world.registry.remove(old)
    world.take(oldName)
  }
  await world.load.goesOn()
  return turned
}
