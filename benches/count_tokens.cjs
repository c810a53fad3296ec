// Counts the o200k tokens that proxies add to a client's context, and prints them beside the quality of the search. Reads the file written by `search tokens`.
const fs = require('fs');
const [file, modules] = process.argv.slice(2);
// By the package's name: an absolute path would bypass its map of exports.
const { encode } = require('module').createRequire(`${modules}/`)('gpt-tokenizer/encoding/o200k_base');
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const cell = (value, width, digits = 0) => (value === undefined ? '' : value.toFixed(digits)).padStart(width);
// Tokens of a call: a tool's name and a few arguments. Results without a schema also need a call of describe_tool.
const CALL = 60;

console.log('golden45, o200k tokens'.padEnd(34) + '   tool list  answer p50  answer max   list + answer + call  recall@5  recall@10');
for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const { name, error, list, answers } = JSON.parse(line);
    if (error) {
        console.log(`${name.padEnd(34)} failed: ${error}`);
        continue;
    }
    const listed = encode(list).length;
    const sizes = answers.map((answer) => encode(answer.text ?? '').length).sort((a, b) => a - b);
    const of = (key) => (answers.length ? mean(answers.map((answer) => answer[key])) : undefined);
    const path = answers.length ? listed + mean(sizes) + CALL : listed + CALL;
    console.log(
        name.padEnd(34) + cell(listed, 12) + cell(sizes[sizes.length >> 1], 12) + cell(sizes[sizes.length - 1], 12) +
        cell(path, 23) + cell(of('recall5'), 10, 3) + cell(of('recall10'), 11, 3),
    );
}
