"""The category of a question of Arena-Hard v2.0, by its identifier.

The tool's question.jsonl says it (lmarena/arena-hard-auto at 196f6b8, Apache-2.0); rows of answers do not.
"""

import re
from hashlib import sha256

CATEGORIES = ("hard_prompt", "creative_writing")

_OFFICIAL = re.compile("[0-9a-f]{16}")
_BEGINNING = 8
_CREATIVE_BEGINNINGS = """
    021305e5 042351d2 047bd685 071391e7 072dbe02 079ba560 08ec88e5 0913d8dd 0951d9a6 095f4983 0a055d8b 0b45f387
    0bb6a899 0bf94d03 0cb8f9b7 0f2f4361 0ff178fd 10109f6f 1019d38d 11a638d7 11dee97e 13a1f4a8 1402fb2f 14a72b23
    16771bb5 19147083 199ee703 1b7592e9 1e64dc4d 1f1da138 1fbdc944 216bae36 2251874a 249a4c25 24ff6a19 25bf4c89
    296dbe66 297fa945 2b950daf 2ec88fa9 2fe3f240 30541819 3083367b 319cb072 34078053 3ee8a359 3f85a0b5 3fbe8598
    40097ea8 401c906c 42e85ca7 435c49f5 4706ecf4 4804cadb 4810610d 48447438 489361ff 492a337b 4990cc97 4a687ddb
    4c7d8a03 4da9823c 4db7becb 4ddafb8e 4e161445 51b620f7 523cd13d 54616c34 56e8d9a8 59916558 5aa906eb 5ab052c7
    5b17cfc3 5db4ecd7 5eee4e56 605d67a8 61dcf489 62d4303c 6325cdbd 63db9fc8 65d4b024 6653abdd 67083223 6816493a
    6852e256 685b9c50 689564b9 68da45f4 69402a9c 6b7896a9 6b815351 6d0f1938 6fdd29bd 6ffb9d80 70dc029a 718383ac
    7277958b 7279f98b 72f30d4c 73ebd0a9 74b91820 74f24da2 7664f8a6 76ab1120 7711e0c1 7799882a 7b3eebbd 7c5c7e98
    7e06347e 7ffdb7bb 814968db 817d48d2 828b48c1 844f4805 855187d5 85791542 86bfe08f 86e476fd 87984e4e 880af81a
    88b85053 8a3b968a 8aa9baad 8b18b97c 8ba2e5d0 8dd3d351 8e5a2216 8f10d9b6 8fcada15 9001bbc9 91b5e2ac 91bced90
    91e91e06 921fd138 92a5f85a 92fda90e 934879a5 9434458a 94357bdd 950ba8cc 958d9749 96b1f680 972aff83 972bf36d
    9774b98d 9779eb96 97c0474b 98529fe3 98cd87bd 98df0b6e 9b24ed15 9c882300 9d877079 9f74a215 a0a6bb4b a3e4edb5
    a4a76389 a4c992a1 a5ec4809 a6938834 a7abb7a8 a7c13371 a7e53142 a817b29a a819f1a1 ae7b33aa aec01986 af58d4c0
    b0b89ff2 b39abe25 b41b45a0 b5cd2ab1 b61fea78 b6afa96e b7d1831c b8f5a77d ba03f38f bd9b7a7b be5bca31 beee91df
    c1070688 c1bdfce6 c2f4c635 c3a64148 c40d7e77 c6ceed9f c70af129 c807a3b5 c82d641d c932306a ca0ddd4a cb72e0bb
    ccd3c6db ce158de6 cf18371f cf647d78 cfd815eb cfe6a977 d0acf61e d0bb3722 d10e31c4 d14e8c25 d309137e d3698c87
    d4a34066 d4d650ad d4e34b02 d5be6389 d61f684c d657b1fb d794e195 d79dc091 d83ec068 d8fb3ce3 df8cba52 dfc2bd06
    e413a58e e4633331 e4cac13c e4d04ee7 e5e49ade e6d74090 e7df7d44 e8ba8a5d e9f4fa35 ecf41caf edd55190 ee025078
    ee2a1f91 ee6a697e ee759c90 eeef1262 eef4ac59 ef4862e6 f272aa29 f2be32a1 f2f82cb8 f3ee6f09 f52e7523 f54ce279
    f5d10c00 f83b368d f86e8c99 f8f1280c fa60d05c fb7b3764 fbee6c5e fddba39b fe98c7b5 fea9e3aa
"""
_CREATIVE = frozenset(_CREATIVE_BEGINNINGS.split())
"""How the identifiers of creative_writing begin: no other question's does."""


def category_of(question_id: str) -> str:
    """Return the category of a question.

    Those of other sets, such as the embedded world's, have none: they are dealt out two to one, as the official set is,
    by a digest of the identifier.
    """
    if _OFFICIAL.fullmatch(question_id):
        return CATEGORIES[question_id[:_BEGINNING] in _CREATIVE]
    return CATEGORIES[sha256(question_id.encode()).digest()[0] % 3 == 0]
