// Reads one question a line, asks iam-simulate, and prints one answer a line: what it decides, or why it
// would not.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { validateIdentityPolicy, validateResourcePolicy } from '@cloud-copilot/iam-policy'

const named = (policies) => (policies ?? []).map((policy, i) => ({ name: `p${i}`, policy }))
const levels = (all) => (all ?? []).map((level, i) => ({ orgIdentifier: `ou-${i}`, policies: named(level) }))

async function decide(q) {
  const { result, resultType, overallResult, errors } = await runSimulation(
    {
      request: {
        principal: q.principal,
        action: q.action,
        resource: { resource: q.resource, accountId: q.account },
        contextVariables: q.context,
      },
      identityPolicies: named(q.identity),
      permissionBoundaryPolicies: q.boundary ? named([q.boundary]) : undefined,
      sessionPolicy: q.session,
      serviceControlPolicies: levels(q.scps),
      resourceControlPolicies: levels(q.rcps),
      vpcEndpointPolicies: q.endpoint ? named([q.endpoint]) : undefined,
      resourcePolicy: q.resourcePolicy,
    },
    { simulationMode: 'Strict' },
  )
  if (errors) return { error: JSON.stringify(errors) }
  return { decision: overallResult, ignored: result?.ignoredContextKeys, kind: resultType }
}

function validate(q) {
  const errors = q.kind === 'resource' ? validateResourcePolicy(q.policy) : validateIdentityPolicy(q.policy)
  return { faults: errors.map((e) => `${e.path}: ${e.message}`) }
}

for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line)
  let answer
  try {
    answer = q.policy ? validate(q) : await decide(q)
  } catch (e) {
    answer = { error: String(e) }
  }
  console.log(JSON.stringify(answer))
}
