"""Templates for templates.py: what chat templates do with values, a line each, and expressions and statements drawn at random."""
import random

MESSAGES = [
    dict(role="system", content="be terse"),
    dict(role="user", content="  Was ist صقر? 👍🏽 it's \"quoted\"\n\n\tend \u0085"),
    dict(role="assistant", content=None, reasoning="why\nnot", tool_calls=[
        dict(id="a1", type="function", function=dict(name="weather", arguments={
            "b": 20.0, "10": 1e-05, "2": 9007199254740993, "n": None, "t": True, "s": "é\u2028\x7f\"\\", "l": [1, 2.5, [], {}], "e": 1e16, "z": -0.0, "h": 123456789.125,
        })),
    ]),
    dict(role="tool", content="[5, 1e3]", name="weather"),
    dict(role="assistant", content="<think>\nlong\n</think>\n\n Mild. ", extra=dict(items=[1], keys="k", get=2)),
    dict(role="user", content="again"),
]
TOOLS = [dict(type="function", function=dict(name="weather", description="d", parameters=dict(type="object", properties=dict(city=dict(type="string", items=1.0)), required=["city"])))]

# each is printed between brackets; m is the messages, c a call's arguments, x a missing name, s a text, l a list, d a mapping
EXPRESSIONS = r"""
m[0]
m[2]
m | length
m[1].content | length
m[1].content[10:14]
m[1].content[::-1]
m[1].content[-5:]
m[1].content | trim
m[1].content.strip()
m[1].content.split()
m[1].content.split(None, 2)
m[1].content.rsplit(None, 2)
m[1].content | upper
m[1].content | title
m[1].content.title()
m[1].content | capitalize
m[1].content.splitlines()
m[1].content | tojson
m[1].content | tojson(ensure_ascii=true)
m[1].content.encode
m[4].content.split('</think>')[-1].lstrip('\n')
m[4].content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
m[4].extra.items
m[4].extra['items']
m[4].extra.keys
m[4].extra.get('get')
m[4].extra.nothing
m[4].extra['nothing'].more
m[-1].role
m[7]
m[7].role
m['x']
m[2].tool_calls[0].function.arguments
c | tojson
c | tojson(indent=2)
c | tojson(indent=4, sort_keys=true)
c | tojson(separators=(',', ':'))
c | tojson(indent=0)
c | string
c.items() | list
c.keys() | list
c.values()
c | dictsort
c | items | list
c | list
c | first
c | length
c['2'] + 1
c['2'] * 2
c['b'] + 1
c['b'] | int
c['b'] | string
c.get('q', 'none')
c.get('q')
tools | tojson
tools[0].function.parameters.properties.city.items
tools[0].function.parameters.properties | items | list
tools | map(attribute='function.name') | list
tools | selectattr('type', 'equalto', 'function') | list | length
m | map(attribute='role') | join(', ')
m | map(attribute='content', default='-') | list
m | selectattr('role', 'equalto', 'user') | list
m | rejectattr('role', 'in', ['user', 'assistant']) | map(attribute='role') | list
m | selectattr('tool_calls') | list | length
m | selectattr('tool_calls', 'defined') | list | length
m | groupby('role') | map('first') | list
m | selectattr('role')
(m | selectattr('role', 'eq', 'user') | list)[-1] == m[-1]
m[0] == m[0]
m[5] == {'role': 'user', 'content': 'again'}
m[5] in m
m | map('length') | list
m | last
m | first == m[0]
m | reverse | map(attribute='role') | list
m | sort(attribute='role') | map(attribute='role') | list
m | unique(attribute='role') | map(attribute='role') | list
m | batch(4) | map('length') | list
m | slice(4) | map('length') | list
x
x.y
x['y']
x | default('d')
x | default
x + 'a'
'a' + x
x ~ 'a'
x == y
x == none
x is defined
x is none
x is string
x is iterable
x is sequence
x in m
'a' in x
x | length
x | list
x | join
x | upper
x | tojson
x | int
x | first
x | last
x[0]
x[1:]
x()
-x
not x
x and x.y
x or 'o'
x < 1
none | length
none | upper
none | default('d')
none | default('d', true)
none | tojson
none | list
none | first
none.x
none['x']
none[0]
none + 'a'
none ~ 'a'
none is none
none[1:]
(none).upper()
'' | default('d', true)
1 + 1
7 // 2
-7 // 2
7 % -3
-7 % 3
-7.5 % 2
7.5 // 2
7 / 2
6 / 2
2 ** 10
2 ** -1
2 ** 0.5
2 ** 3 ** 2
-2 ** 2
10 ** 20
9007199254740993
0x1F + 0b11 + 0o17 + 1_000
1.0
1e3
1e22
1.5e-7
0.1 + 0.2
1 / 3
100000000000000000000.0
123456789012345680.0
1 == 1.0
1 == true
true + true
true ~ 1
'1' == 1
[1, 2] == [1.0, 2]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
{1: 'a', 1.0: 'b', true: 'c'}
{'a': 1}.a
{'a': 1}['a']
{'a': {'b': [1, (2,), ()]}}
1 < 2 < 3
1 < 2 > 3
'a' < 'b'
'a' < 1
[1, 2] < [1, 3]
'B' < 'a'
'a' * 3
3 * 'ab'
[1] * 2
[1] + [2]
[1] + (2,)
(1,) + (2,)
'a' + 1
'%s is %d and %.2f, %5s|%-5s|%05d' % ('a', 3, 2.675, 'r', 'l', 42)
'%s' % 'x'
'%s' % {'a': 1}
'%(a)s' % {'a': 1}
'%s %s' % ('a',)
'%x %X %o %e %g' % (255, 255, 8, 12345.678, 0.0001)
'%r' % 'it\'s'
'%%' % ()
'{} {1}'.format(1, 2)
'{0} {1} {0}'.format('a', 'b')
'{a.role} {b[0]}'.format(a=m[0], b=[7])
'{:>5}|{:<5}|{:^5}|{:05d}|{:,}|{:.3f}|{:x}'.format('a', 'b', 'c', 42, 1234567, 3.14159, 255)
'{!r}'.format('a')
'{{}}'.format()
'{x}'.format()
'%s-%s' | format('a', 'b')
'abc'[1]
'abc'[-1]
'abc'[5]
'abc'[5:]
'abc'[1:2]
'abc'.x
'a,b,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'a,b,c'.partition(',')
'a,b,c'.rpartition(',')
'abc'.partition('x')
'abc'.replace('b', 'x')
'aaa'.replace('a', 'b', 2)
'abc' | replace('b', 'x')
'aaa' | replace('a', 'b', 2)
1.5 | replace('.', ',')
'abc'.find('c')
'abc'.find('x')
'abc'.index('x')
'aXbX'.count('X')
'abc'.startswith('a')
'abc'.startswith(('x', 'a'))
'abc'.startswith('b', 1)
'abc'.endswith('c')
'abc'.startswith(1)
'xxabcxx'.strip('x')
'xyabcyx'.lstrip('xy')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
' '.join(['a', 'b'])
' '.join([1, 2])
'-'.join('abc')
'abc'.upper().lower().title().swapcase().capitalize()
'abc'.center(9, '*') ~ 'abc'.ljust(5) ~ 'abc'.rjust(5) ~ '7'.zfill(3)
'abc' | center(10)
'abc'.isalpha() ~ '12'.isdigit() ~ 'a1'.isalnum() ~ ' '.isspace() ~ 'A'.isupper() ~ 'a'.islower()
'a\nb'.splitlines()
'a\nb\n' | indent(2)
'a\n\nb' | indent(2, true)
'a\n\nb' | indent(2, blank=true)
'a\nb' | indent('> ', true)
'abc def ghi' | truncate(7)
'abc def ghi jkl mno' | truncate(9, true, '..', 0)
'abc def' | wordcount
'<b>&"' | e
'<b>' | safe
'<b>' | escape | length
'3.5' | e | float
'12' | e | int
('<b>' | e | upper) | e
('<b>' | e | replace('b', '<')) | e
('<b>' | e | first) | e
('<b>' | e | reverse) | e
('<b>' | e | string | default('x')) | e
('<b>' | e).role
'abc' | list
'abc' | first
'abc' | last
'abc' | reverse
[3, 1, 2] | sort
[3, 1, 2] | sort(reverse=true)
['b', 'A', 'c'] | sort
['b', 'A', 'c'] | sort(case_sensitive=true)
[3, 'a'] | sort
[1, 2, 3] | sum
[1.5, 2] | sum
[{'a': 1}, {'a': 2}] | sum(attribute='a')
[1, 2, 3] | max
['a', 'B'] | min
[] | max
[] | first
[] | last
[1, 1.0, true, 2] | unique | list
[1, 2, 3, 4] | select('odd') | list
[1, 2, 3, 4] | reject('divisibleby', 2) | list
[0, 1, '', 'a'] | select | list
['a', 'b'] | map('upper') | join
['a', 'b'] | map('replace', 'a', 'x') | list
['a'] | map('nofilter') | list
[[1, 2], [3]] | map('sum') | list
[1, none, 'a', x] | join('|')
[1, [2, 'a'], {'k': none}] | join('|')
[1, 2] | join
3.7 | round
3.5 | round
2.5 | round
2.675 | round(2)
1234.5678 | round(2, 'floor')
1234.5678 | round(1, 'ceil')
3 | round
3.99 | int
'3.7' | int
'x' | int
'x' | int(7)
' 42 ' | int
'1_000' | int
'1e3' | int
none | int
'3.5' | float
'x' | float
3 | float
-3 | abs
-3.5 | abs
true | abs
'a' | abs
true | int
true | string
true
none
[true, none, 1.0, 'a"b', "it's", 'x\ty\\']
"it's \"both\""
'\x41\u0042\n\t\\'
['\x00\x7f\xa0\u200b\ud7ff\u2028é👍']
(1,)
()
(1, 'a')
range(3)
range(3) | list
range(5, 0, -2) | list
range(10)[2]
range(3) | length
range(0)
range(1.5)
dict(a=1, b='x')
dict({'a': 1}, b=2)
dict([('a', 1)])
namespace(a=1).a
namespace(a=1).b
namespace(a=1)['a']
namespace(_a=1)
m is iterable
m is sequence
m is mapping
m[0] is mapping
m[0] is sequence
m[0] is string
'a' is string
1 is number
1.0 is integer
1.0 is float
true is number
true is integer
true is boolean
1 is boolean
3 is odd
4 is even
4 is divisibleby 2
4 is divisibleby(3)
'a' is in 'abc'
'a' is in ['a']
1 is in [1.0]
'A' is upper
'a' is lower
'1' is lower
1 is eq 1.0
1 is sameas true
none is sameas none
true is true
1 is true
'upper' is filter
'nope' is filter
'odd' is test
range is callable
1 is lt 2
1 is nosuchtest
'a' is defined
not 'a' is string
'a' is not string
1 if true else 2
1 if false
(1 if false) is defined
'a' if x else 'b' if y else 'c'
1 and 0 or 'z'
[] or {} or 'e'
'a' and 'b'
1 in [1, 2]
'a' in 'cat'
1 in 'cat'
'role' in m[0]
'x' not in m[0]
[] in {}
1 ~ 2.0 ~ none ~ true ~ [1]
{'a': 1} | items | list
{'a': 1}.items()
{'b': 1, 'a': 2} | dictsort
{'b': 1, 'a': 2} | dictsort(by='value', reverse=true)
{'a': 1}.copy()
{'a': 1}.pop('a')
{'a': 1}.update({'b': 2})
{'a': 1}.setdefault('b', 2)
[1].append(2)
[1, 2].index(2)
[1, 2, 1].count(1)
[1, 2, 3][1:]
[1, 2, 3][::-1]
[1, 2, 3][-1]
[1, 2, 3][true]
[1, 2, 3][1.0]
[1, 2, 3]['a']
[1, 2, 3].x
'a'.__class__
m.__len__
x.__class__
{'a': 1} | attr('a')
(1, 2)[0]
(1, 2)[:1]
{(1, 2): 'x'}[(1, 2)]
{[1]: 2}
{'a': 1, 'a': 2}
{'a': 1} + {'b': 2}
{'a': 1}.nosuch()
'a'.nosuch()
1()
1[0]
1.x
1 / 0
1 // 0
1 % 0
1.0 / 0
[1, 2.0, '3'] | tojson
(1, 2) | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
{} | tojson
[] | tojson(indent=2)
[{}, [], ''] | tojson(indent=2)
x | default(none) | tojson
range(3) | tojson
1e400 | tojson
'</script>&\'' | tojson
'é👍' | tojson(ensure_ascii=true)
{'b': {'d': 1, 'c': 2}, 'a': 3} | tojson(sort_keys=true)
{'b': 1, 1: 2} | tojson(sort_keys=true)
{'a': 1} | tojson(false, 2)
{'a': 1} | tojson(nosuch=1)
raise_exception('no: ' ~ 1)
bos_token ~ eos_token
nosuchfunction()
m[0].content.nosuch
m[0].get('content')
m[0].get('x', {}).get('y', 'z')
m[2].content
m[2].content is defined
m[2].reasoning_content ~ m[2].thinking
m[2]
m[3].name
'a' 'b'
"a" ~ 'b' | upper
('a' ~ 'b') | upper
-1 | abs
(-1) | abs
not true == false
1 + 2 * 3 ** 2
1 - 1 - 1
[1, 2,]
{'a': 1,}
(1, 2,)
'abc' | attr('upper')
m | map(attribute='role') | unique | list | sort | join(',')
m | selectattr('content', 'string') | map(attribute='content') | map('trim') | map('length') | list
m | map(attribute='tool_calls') | select('defined') | list | length
loop
self
'%c%3c' % ('a', 128077)
'%c' % 'ab'
'%c' % -1
cycler(1)
cycler(1, 2).next()
cycler(1, 2).current
cycler(1, 2).reset()
cycler()
joiner('|')()
m | groupby('role') | map(attribute='grouper') | list
m | groupby('role') | map(attribute='list') | map('length') | list
(m | groupby('role'))[0].grouper
(m | groupby('role')).list
'abc' | replace('', '-', 2)
'abc' | replace('', '-')
'a👍b' | replace('', '-', 3)
'a👍b' | replace('', '-')
'a👍b'.replace('', '-')
'aaa' | replace('a', 'b', -1)
'aaa' | replace('a', 'b', none)
'%.3s' % 'a👍bcd'
'%.2r' % '👍x'
'%5.2s|' % '👍🏽x'
'%#x' % 255
'%#X' % 255
'%#o' % 8
'%#08x' % -255
'%x' % 3.0
'%+x' % 255
'%.5d' % -42
'%08.5d' % 42
'%#d' % 3
'٣' | int
'٣.٥' | float
' ٣_٤ ' | int
'𝟗' | int
'12\ufeff' | int
'\u200212\x1f' | int
'ff' | int(0, 16)
'0xff' | int(0, 16)
'-0XF_F' | int(0, 16)
'0b101' | int(base=2)
'0o17' | int(0, 0)
'017' | int(9, 0)
'000' | int(9, 0)
'0x' | int(9, 0)
'zz' | int(0, 36)
'12' | int(5, 37)
'12' | int(5, 1)
'3.7' | int(0, 16)
'9' | int(5, 8)
'0b1' | int(0, 16)
'1__0' | int(7)
'1e_5' | float(7)
'1e1_0' | float(7)
'一'.isnumeric()
'三二'.isalnum()
'½'.isnumeric()
'½'.isdigit()
'➀⒈'.isdigit()
'Ⅷ'.isalnum()
''.__class__
''.__class__.__mro__
x.__class__
x.__foo__
x.__foo
d.__foo
d.__class__
{'__x': 1, '__class__': 2}.__x
{'__x': 1, '__class__': 2}.__class__
{'_x': 1}._x
1550 | round(-2)
1650 | round(-2)
(-1550) | round(-2)
49 | round(-2)
'a\tb\n\tc'.expandtabs()
'👍\t|'.expandtabs(4)
'a\tb'.expandtabs(0)
'a\tb'.expandtabs(tabsize=1)
x is not defined and y is not defined
1 == 1 and 2 != 3 or x.y
'a' ~ ('b' if x is defined else 'c')
m[0]['role'] ~ m[0].role
m[0]['role'][0]
m[1:][0].role
m[-2:] | length
m[:-1] | map(attribute='role') | join
'ß'.upper() ~ 'ß'.capitalize() ~ 'ǆ'.title() ~ 'İ'.lower()
'ab cd-ef'.title() ~ ('ab cd-ef' | title)
'\u0085 a\ufeff' | trim
'1.0' | float | string
1.0 | tojson
10000000000000000 | float
"they're bill's".title()
'a' > 'B'
'é' < 'z'
'👍' > '\uffff'
'a' == 'a' == 'a'
1 < x
[1] < [x]
[1, 'a'] == [1, 'a']
none == false
'' == none
0 == false
m | length > 3
m | length + 1
(m | length) is odd
loop is defined
caller is defined
""".strip().split("\n")

STATEMENTS = [
    "{% for i in [1, 2, 3] %}{% set t %}a{{ i }}{% if i == 2 %}{% break %}{% endif %}b{% endset %}{{ t }};{% endfor %}|{{ t }}",
    "{% for i in [1, 2, 3] %}{% set t %}a{{ i }}{% if i == 2 %}{% continue %}{% endif %}b{% endset %}{{ t }};{% else %}none{% endfor %}",
    "{% for i in [1, 2, 3] %}{% filter upper %}a{{ i }}{% if i == 2 %}{% continue %}{% endif %}b{% endfilter %};{% endfor %}",
    "{% for i in [1, 2, 3] %}{% filter upper %}a{{ i }}{% if i == 2 %}{% break %}{% endif %}b{% endfilter %};{% endfor %}",
    "{% for i in [1, 2] %}{% set t | upper %}{% for j in 'abc' %}{{ j }}{% if j == 'b' %}{% break %}{% endif %}{% endfor %}{% endset %}{{ t }}{% endfor %}",
    "{% for i in [1, 2] %}{% set t %}{% filter upper %}x{% continue %}{% endfilter %}{% endset %}y{% endfor %}z",
    "{% set t %}{% break %}{% endset %}",
    "{% for i in [1] %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for g in m | groupby('role') %}{{ g.grouper }}{{ g.list | length }}{{ g[0] }}{{ g | length }}{% endfor %}",
    "{% for g in m | groupby(attribute='role') %}{{ g['grouper'] }}{{ g['list'][0].role }}{{ g.count('user') }}{{ g.x }}{% endfor %}",
    "{% set j = joiner() %}{% for i in [1, 2, 3] %}{{ j() }}{{ i }}{% endfor %}{% set j = joiner(sep=' | ') %}{% for i in [1, 2, 3] %}{{ j() }}{{ i }}{% endfor %}",
    "{% set c = cycler('a', 'b', 'c') %}{{ c.current }}{% for i in range(5) %}{{ c.next() }}{{ c.current }}{{ c.pos }}{% endfor %}{{ c.reset() }}{{ c.next() }}{{ c.items }}",
    "{% set c = cycler(1, 2) %}{{ c() }}",
    "{% for a in m %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{ loop.length }} {% endfor %}",
    "{% for a in m %}{{ loop.previtem.role if not loop.first }}>{{ loop.nextitem.role if not loop.last }};{% endfor %}",
    "{% for a in m if a.role == 'user' %}{{ loop.index }}{{ a.content | length }}{% else %}none{% endfor %}",
    "{% for a in [] %}x{% else %}none{% endfor %}",
    "{% for a in x %}x{% else %}none{% endfor %}",
    "{% for a in none %}x{% endfor %}",
    "{% for a in 5 %}x{% endfor %}",
    "{% for a in x.y %}x{% endfor %}",
    "{% for k, v in c.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in c %}{{ k }};{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }};{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for a, (b, d) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ d }}{% endfor %}",
    "{% for a in 'ab👍' %}{{ a }}|{% endfor %}",
    "{% for a in m %}{% if loop.index == 2 %}{% continue %}{% endif %}{{ a.role }}{% if loop.index == 4 %}{% break %}{% endif %};{% endfor %}",
    "{% for a in [1, 2] %}{% for b in [3, 4] %}{{ loop.index }}{{ a }}{{ b }}{% if b == 3 %}{% continue %}{% endif %}!{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for a in [1, [2, [3]]] recursive %}{% if a is iterable %}({{ loop(a) }}){% else %}{{ a }}d{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for a in [1, 1, 2] %}{{ loop.changed(a) }}{{ loop.cycle('o', 'e') }}{% endfor %}",
    "{% set t = 0 %}{% for a in [1, 2] %}{% set t = t + a %}{{ t }}{% endfor %}{{ t }}",
    "{% set ns = namespace(t=0) %}{% for a in [1, 2] %}{% set ns.t = ns.t + a %}{% endfor %}{{ ns.t }}{{ ns.nosuch }}",
    "{% if true %}{% set t = 1 %}{% endif %}{{ t }}",
    "{% for a in [1] %}{% if true %}{% set t = 1 %}{% endif %}{{ t }}{% endfor %}{{ t }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set t %}  x {{ 1 + 1 }} {% endset %}[{{ t }}]{{ t | length }}",
    "{% set t | upper | trim %} x {% endset %}[{{ t }}]",
    "{% set m.x = 1 %}",
    "{% macro f(a, b='d', e=a) %}[{{ a }}{{ b }}{{ e }}{{ varargs }}{{ kwargs }}]{% endmacro %}{{ f(1) }}{{ f(1, 2, 3, 4, k=5) }}{{ f(b=1, a=2) }}{{ f() }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, b=2) }}",
    "{% macro f(a) %}{{ a }}{% if a > 0 %}{{ f(a - 1) }}{% endif %}{% endmacro %}{{ f(3) }}|{{ f(2) | length }}|{{ f.name }}",
    "{% macro f(a) %}<{{ caller(a) }}>{% endmacro %}{% call(b) f(7) %}{{ b }}{{ m | length }}{% endcall %}",
    "{% macro f() %}{{ y }}{% endmacro %}{% set y = 3 %}{{ f() }}",
    "{% set y = 1 %}{% macro f() %}{{ y }}{% set y = 2 %}{{ y }}{% endmacro %}{{ f() }}{{ y }}",
    "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}",
    "{% filter upper %}a{{ 'b' }}{% endfilter %}",
    "{% filter replace('a', 'x') | upper %}abc{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% raw %}{{ x }}{% if %}{% endraw %}",
    "  {%- raw -%}  {{ x }}  {%- endraw -%}  z",
    "a{# comment {{ x }} #}b\n{# whole line #}\nc",
    "a {#- c -#} b",
    "x\n  {% if true %}\n    y\n  {% endif %}\nz\n",
    "x\n  {%- if true %}\n    y\n  {%- endif %}\nz\n",
    "x\n  {% if true -%}\n    y\n  {% endif -%}\nz\n",
    "x\n  {%+ if true %}\n    y\n  {% endif +%}\nz\n",
    "  {% if true %}  {% endif %}  \n",
    "a\n\n{% if true %}\n\nb\n{% endif %}\n\n",
    "\n{{ 'a' }}\n{{- 'b' -}}\n {{ 'c' }}\n",
    "  {{ 'a' }}\n  {{ 'b' }}\n\t{{ 'c' }}",
    "{{ 'a' }}\r\n{% if true %}\r\nb\r\n{% endif %}\r\n",
    "{{ '{{' }}{{ \"}}\" }}{{ '%}' }}",
    "{{ {'a': {'b': 1}}['a'] }}",
    "{{ {'a': {'b': 1}}}}",
    "{%if true%}a{%elif x%}b{%else%}c{%endif%}",
    "{% if x %}a{% elif m %}b{% else %}c{% endif %}",
    "{% if x.y %}a{% endif %}",
    "{% if x is defined and x.y %}a{% else %}b{% endif %}",
    "{% generation %}a{% endgeneration %}b{% for q in [1, 2] %}{%- generation -%} c{{ q }} {%- endgeneration -%} d{% endfor %}",
    "{% for a in m %}{% if a.role == 'assistant' %}A:{% generation %}{{ a.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ a.content }}{% endif %}{% endfor %}",
    "{% generation %}{% set q = 1 %}{% endgeneration %}{{ q }}",
    "{% generation %}\n👍{{ m[1].content }}\n{% endgeneration %}\n{% generation %}{% endgeneration %}x",
    "{% for q in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "x\n  {%+ generation +%}\n  {{ m[1].content }}\n  {%+ endgeneration +%}\ny",
    "x\n  {%+ generation %}\n  a\n  {% endgeneration +%}\n  {%- generation +%}\n  b\n  {%+ endgeneration -%}\n  y",
    "{%\ngeneration\n%}a{%\tendgeneration\u00a0-%} b",
    "{% raw %}{% generation %}{% endraw %}{{ '{% generation %}' }}{# {% generation %} #}",
    "{% break %}",
    "{{ strftime_now('%Y') | length }}",
    "{% if %}x{% endif %}",
    "{% for a in m %}",
    "{% endfor %}",
    "{{ 1 +",
    "{{ 'a }}",
    "{% nosuchtag %}",
    "{{ x y }}",
    "{{ (1 }}",
    "{{ 1) }}",
    "{{ a.b.c }}",
    "{{ }}",
    "{% set %}",
    "{% set x = 1 %}{% set x = x + 1 %}{{ x }}",
    "{% print 'a', 'b' %}",
    "{% for loop in [1] %}{{ loop }}{% endfor %}",
    "{{ loop.index }}",
    "{% for a in [1, 2] %}{% endfor %}{{ a }}",
    "{% set s = 'a' %}{% for a in [1, 2] %}{% set s = s ~ a %}{% endfor %}{{ s }}",
    "{% set l = [] %}{% for a in [1, 2] %}{% set l = l + [a] %}{% endfor %}{{ l }}",
    "{% set it = m | map(attribute='role') %}{{ it | list | length }}{{ it | list | length }}",
    "{% set it = c.items() %}{{ it | list | length }}{{ it | list | length }}{{ it | length }}",
    "{% if m | selectattr('role') %}t{% endif %}{% if [] | map('upper') %}t{% endif %}{% if {}.items() %}t{% else %}f{% endif %}",
    "{% for a in m | map(attribute='role') %}{{ loop.length if false }}{{ a }}{{ loop.last }}{% endfor %}",
    "{{ 'x' if loop is defined }}{% for a in [1] %}{{ 'x' if loop is defined }}{% endfor %}",
    "{% set ns = namespace(first=true, items=[]) %}{% for a in m %}{% if ns.first %}{{ a.role }}{% set ns.first = false %}{% endif %}{% set ns.items = ns.items + [a.role] %}{% endfor %}{{ ns.items | join(',') }}{{ ns.items | length }}",
    "{% macro show(v) %}{% if v is string %}{{ v }}{% elif v is mapping %}{% for k, w in v | dictsort %}{{ k }}:{{ show(w) }},{% endfor %}{% elif v is sequence %}[{% for w in v %}{{ show(w) }}{{ ',' if not loop.last }}{% endfor %}]{% else %}{{ v | tojson }}{% endif %}{% endmacro %}{{ show(c) }}{{ show(tools) }}",
    "{%- for a in m -%}\n{%- if a.content is none -%}N{%- elif a.content -%}C{%- else -%}U{%- endif -%}\n{%- endfor -%}",
    "{% autoescape true %}{{ '<' }}{% endautoescape %}",
    "{{ undefined_function(1) if false else 'ok' }}",
    "{% if false %}{{ 'a' | nosuchfilter }}{% endif %}ok",
    "{% if false %}{{ 'a' is nosuchtest }}{% endif %}ok",
    "{% for a in range(3) %}{{ a }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% set a = {'b': 1} %}{% set _ = a.update({'c': 2}) %}{{ a }}",
    "{% for a in 'a,b'.split(',') %}{{ a | upper }}{% endfor %}",
    "{% set q %}{% generation %}a{% endgeneration %}{% endset %}{{ q }}",
    "{% macro f() %}{% generation %}a{% endgeneration %}{% endmacro %}{{ f() }}",
]


class Draw:
    """Expressions put together at random; all that is drawn follows from the seed."""

    def __init__(self, seed: int):
        self.r = random.Random(seed)

    LEAVES = [
        "1", "0", "-3", "2.5", "20.0", "1e-05", "9007199254740993", "true", "false", "none", "x", "''", "'a'", "' Ab c '", "'é👍'", "'a,b,,c'", "'12'", "'3.5'", "'\\n x\\t'",
        "[]", "[1, 2.0, 'a']", "['b', 'A']", "[3, 1, 2]", "(1, 'b')", "{}", "{'a': 1, 'b': [2]}", "{'10': 1, '2': 2.0}", "m", "m[0]", "m[1].content", "m[2]", "m[-1].content", "c", "tools", "range(3)", "m[2].tool_calls",
    ]
    BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
    FILTERS = [
        "upper", "lower", "trim", "length", "first", "last", "list", "join(',')", "tojson", "string", "int", "float", "default('d')", "default('d', true)", "reverse", "sort", "unique", "sum", "max", "min", "abs", "round", "round(1)",
        "title", "capitalize", "replace('a', 'x')", "map('string')", "map('upper')", "map(attribute='role')", "select", "reject('string')", "selectattr('role')", "items", "dictsort", "batch(2)", "indent", "trim('a')", "count", "wordcount", "center(7)", "truncate(5, true, '')", "tojson(indent=1)", "e",
    ]
    TESTS = ["defined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "true", "even", "odd", "undefined", "in 'abc'", "eq 1", "lower", "callable", "not none", "not string"]
    POSTFIX = [
        "[0]", "[-1]", "[1:]", "[:2]", "[::-1]", "['a']", ".a", ".role", ".content", "['role']", ".upper()", ".strip()", ".split(',')", ".split()", ".items()", ".get('a')", ".keys()", ".startswith('a')", ".replace('a', 'b')", ".title()", ".join(['p', 'q'])", ".count('a')", ".splitlines()", ".values()",
    ]

    def expression(self, depth: int = 3) -> str:
        r = self.r
        if depth == 0 or r.random() < 0.12:
            return r.choice(self.LEAVES)
        inner = lambda: self.expression(depth - 1)
        kind = r.choices(["binary", "filter", "test", "postfix", "choice", "unary", "list"], [5, 6, 2, 4, 1, 1, 1])[0]
        if kind == "binary":
            return f"({inner()} {r.choice(self.BINARY)} {inner()})"
        if kind == "filter":
            return f"({inner()} | {r.choice(self.FILTERS)})"
        if kind == "test":
            return f"({inner()} is {r.choice(self.TESTS)})"
        if kind == "postfix":
            return f"({inner()}){r.choice(self.POSTFIX)}"
        if kind == "choice":
            return f"({inner()} if {inner()} else {inner()})"
        if kind == "unary":
            return f"({r.choice(['not ', '-', '+'])}{inner()})"
        return r.choice([f"[{inner()}, {inner()}]", f"({inner()}, {inner()})", f"{{'k': {inner()}, 'l': {inner()}}}"])

    def template(self) -> str:
        """Expressions between data, tags and white space."""
        r = self.r
        begin = lambda tag: "{" + tag + r.choice(["", "", "-", "+" if tag == "%" else "-"])
        end = lambda tag: r.choice(["", "", "-", "+" if tag == "%" else "-"]) + tag + "}"
        space = lambda: r.choice(["", " ", "\n", "\n  ", "  \n", "\t", "\n\n", "a", " a\n"])
        tag = lambda text: f"{space()}{begin('%')} {text} {end('%')}{space()}"
        show = lambda depth: f"{space()}{begin('{')[:3]} {self.expression(depth)} {end('}')}{space()}"
        def body(level: int) -> str:
            parts = []
            for _ in range(r.randint(1, 3)):
                kind = r.random()
                if level == 0 or kind < 0.4:
                    parts.append(show(1))
                elif kind < 0.6:
                    parts.append(tag(f"if {self.expression(1)}") + body(level - 1) + tag("else") + body(level - 1) + tag("endif"))
                elif kind < 0.8:
                    parts.append(tag(f"for q in {self.expression(1)}") + "{{ loop.index }}" + body(level - 1) + tag("endfor"))
                elif kind < 0.9:
                    parts.append(tag(f"set q = {self.expression(1)}") + "{{ q }}")
                else:
                    parts.append(tag("generation") + body(0) + tag("endgeneration"))
            return "".join(parts)
        return body(2)
