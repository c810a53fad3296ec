// Writes samples.jsonl: exact o200k counts, next to which src/contract/tokens.rs is tested.
// node count.cjs MODULES, where MODULES is target/tools/tokens/node_modules (scripts/setup installs it)
const fs = require('fs');
const path = require('path');
const { encode } = require('module').createRequire(`${path.resolve(process.argv[2])}/`)('gpt-tokenizer/encoding/o200k_base');
const file = path.join(__dirname, 'samples.jsonl');
const lines = fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => {
    const sample = JSON.parse(line);
    sample.tokens = encode(sample.text ?? fs.readFileSync(path.join(__dirname, '..', sample.file), 'utf8')).length;
    return JSON.stringify(sample);
});
fs.writeFileSync(file, lines.join('\n') + '\n');
