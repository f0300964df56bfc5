-- sweep: drops the dead of a name that nobody asks for any more
grant()
save()
return 0
