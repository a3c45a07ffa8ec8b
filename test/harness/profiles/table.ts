import type { CallerKind } from '../../../src/domain/caller.ts'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { PROFILE_NAMES } from '../../../src/domain/profiles/profiles.ts'
import type { GrantName } from '../../../src/domain/token.ts'
import { factAgainst } from '../impossible-cells.ts'

/** Who calls, and by which grant the token is had that goes on. */
export const GRANTS_OF = {
  session: ['refresh', 'exchange', 'on_behalf_of', 'service_account'],
  bearer: ['exchange', 'on_behalf_of', 'pass_through'],
  application: ['client_credentials', 'static'],
} as const satisfies Record<CallerKind | 'application', readonly GrantName[]>
export type Caller = keyof typeof GRANTS_OF
export type Way = { [C in Caller]: `${C} ${(typeof GRANTS_OF)[C][number]}` }[Caller]

export const WAYS = (Object.keys(GRANTS_OF) as Caller[]).flatMap((caller) => GRANTS_OF[caller].map((grant) => `${caller} ${grant}` as Way))
export const callerOf = (way: Way): Caller => way.split(' ')[0] as Caller
export const grantOf = (way: Way): GrantName => way.split(' ')[1] as GrantName

/** What happens on each way to a token. */
export const WAY_FLOWS = [
  'first call',
  'two audiences',
  'expiry',
  'refused by the rule',
  'wrong principal',
  'wrong audience',
  'step-up',
  'consent',
  'audience denied',
  'throttled',
] as const
export type WayFlow = (typeof WAY_FLOWS)[number]

/** What happens to a session or a caller, whatever the way. */
export const PROFILE_FLOWS = [
  'sign-in',
  'lost rotation',
  'user disabled',
  'sign-out revokes',
  'sign-out at the provider',
  'back-channel logout',
  'front-channel logout',
  'application calls',
] as const
export type ProfileFlow = (typeof PROFILE_FLOWS)[number]

/** `*` stands where the way does not matter. */
export interface FlowCell {
  readonly profile: ProfileName
  readonly way: Way | '*'
  readonly flow: WayFlow | ProfileFlow
}

export const FLOW_CELLS: readonly FlowCell[] = PROFILE_NAMES.flatMap((profile): FlowCell[] => [
  ...PROFILE_FLOWS.map((flow) => ({ profile, way: '*' as const, flow })),
  ...WAY_FLOWS.flatMap((flow) => WAYS.map((way) => ({ profile, way, flow }))),
])
export const nameOf = ({ profile, way, flow }: FlowCell): string => `${profile}, ${way}, ${flow}`
export const isPossible = (cell: FlowCell): boolean => factAgainst(cell) === undefined
